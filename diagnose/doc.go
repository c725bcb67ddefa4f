// Package diagnose says what a refusal means.
//
// In comes one reply as the evidence has it, wrappers and all, with what the
// evidence knows beside it: who the receiving provider is, whether a remote
// host spoke, in which phase. Out goes a [mail.Diagnosis]: the class, whose
// move it is, when to try again, how sure that is, and the pieces of the text
// that decided.
//
// What is known about replies is data (rules/*.toml, each rule with its source
// and its examples); this package is the reader of wrappers ([Peel]), the order
// in which rules are asked, and an index that asks only the rules whose words
// are in the text. An [Engine] is built once and never changes, so any number
// of goroutines may use it. Nothing is kept and nothing survives a crash; only
// [Unknown], which counts texts that no rule knows, has a state, in memory.
//
// The readers of bounces, logs and headers use it, the relay asks it before a
// retry, and the command explains with it.
package diagnose
