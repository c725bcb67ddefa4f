// Package world is a simulated outside on loopback: zones, receiving providers
// with tempers that change over time, and the truth about what arrived. A
// scenario comes in; servers that speak DNS, SMTP and HTTPS and a count of every
// message by Message-ID and recipient come out.
//
// Tests, examples and people use it to see what mail software does when
// providers refuse, cut or slow down. It refuses to listen on anything but
// loopback. Nothing survives a crash.
package world
