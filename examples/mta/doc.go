// Package mta runs real mail servers, Debian's Postfix, Exim, OpenSMTPD and
// Dovecot, in a [Cell]: a closed place with a network, processes and configuration
// of its own. What goes in is mail; what comes out is what real servers make of
// it and write about it: bounces and logs.
//
// The command that makes the examples uses it, and every test that wants to
// know what real servers do instead of what we remember of it. Package street
// puts a simulated outside into a cell, for them to send to.
//
// A Cell is made of Linux namespaces, so it needs root. It has its own loopback
// with the documentation networks (192.0.2.0/24, 198.51.100.0/24,
// 203.0.113.0/24), its own /etc, /var/spool, /var/log and /var/mail; its DNS is
// zone text, or what somebody serves at [NameServer]. Therefore mail servers use
// the names and ports that they use in life (an MX record at Yahoo's, port 25),
// nothing on the machine can reach them or be reached by them, and no user, file
// or port of the machine is used. A port that [Cell.Listen] opens is in the cell's
// network, whoever serves it.
//
// Nothing survives: the first process of the cell ends when its standard input
// closes, which also happens when we are killed, and the kernel then kills every
// process in it. The directory is removed by [Cell.Close].
//
// The servers come from etc/test-deps; [Find] says where they are or why a test
// must be skipped.
package mta
