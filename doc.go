// Package postroad is the root of the module. It holds no code: the command is in
// cmd/postroad, the parts and their order are in docs/architecture.md, and the
// tests beside this file hold the house rules that a compiler does not know.
package postroad

//go:generate etc/readme
