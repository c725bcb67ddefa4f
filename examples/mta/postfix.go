package mta

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Postfix is a running Postfix in a cell. It sends by MX; mail to its own
// domain, so also every bounce, lands in a Maildir.
type Postfix struct {
	cell *Cell
	sbin string
}

// Setup is how a mail server is set up; all else is fixed.
type Setup struct {
	Host   string            // its own name
	Domain string            // the one whose mail it keeps
	Main   map[string]string // added to Postfix's main.cf or the main section of Exim's configuration
	SMTP   map[string]string // added to Exim's smtp transport
	Retry  string            // how long Exim tries, "4d"; for Postfix set maximal_queue_lifetime
}

// StartPostfix writes the configuration and starts the daemons. It listens on
// 127.0.0.1:25 and relays for nobody but its own machine. One Postfix a cell.
func StartPostfix(ctx context.Context, c *Cell, o Setup) (*Postfix, error) {
	main := map[string]string{
		"compatibility_level":     "3.6",
		"command_directory":       filepath.Join(c.deps, postfixSbin),
		"daemon_directory":        filepath.Join(c.deps, postfixLib),
		"sendmail_path":           filepath.Join(c.deps, postfixSbin, "sendmail"),
		"meta_directory":          "/etc/postfix",
		"shlib_directory":         filepath.Join(c.deps, filepath.Dir(postfixLib)),
		"queue_directory":         "/var/spool/postfix",
		"data_directory":          "/var/spool/postfix-data",
		"mail_owner":              "postfix",
		"setgid_group":            "postdrop",
		"maillog_file":            PostfixLog,
		"maillog_file_prefixes":   "/var/log",
		"myhostname":              o.Host,
		"mydomain":                o.Domain,
		"myorigin":                "$mydomain",
		"mydestination":           "",
		"mynetworks":              "127.0.0.1/32",
		"inet_interfaces":         "loopback-only",
		"inet_protocols":          "ipv4",
		"smtp_bind_address":       Address,
		"smtp_tls_security_level": "may",
		"smtp_tls_CApath":         "",
		"alias_maps":              "",
		"alias_database":          "",
		"virtual_mailbox_domains": o.Domain,
		"virtual_mailbox_base":    "/var/mail",
		"virtual_mailbox_maps":    "static:inbox/",
		"virtual_uid_maps":        fmt.Sprintf("static:%d", uidMail),
		"virtual_gid_maps":        fmt.Sprintf("static:%d", gidMail),
		"append_dot_mydomain":     "no",
		"biff":                    "no",
		"notify_classes":          "",
	}
	// Its first process forgets the environment but for these.
	keep := strings.Join(c.env, " ")
	main["import_environment"], main["export_environment"] = keep, keep
	maps.Copy(main, o.Main)
	p := &Postfix{cell: c, sbin: filepath.Join(c.deps, postfixSbin)}
	err := errors.Join(
		c.WriteFile("etc/postfix/main.cf", settings(main)),
		c.WriteFile("etc/postfix/master.cf", masterCF),
		c.WriteFile("etc/postfix/dynamicmaps.cf", ""),
		p.prepare(),
		// Postfix reads a file again and again that is younger than a second.
		os.Chtimes(c.Path("etc/postfix/main.cf"), time.Time{}, time.Now().Add(-time.Minute)),
	)
	if err != nil {
		return nil, fmt.Errorf("configure Postfix: %w", err)
	}
	// In the background, so that its parent is the cell's first process: a child
	// of a process outside would have to be waited for when the cell ends. Its
	// complaints are in the log.
	const start = `"$0" </dev/null >/dev/null 2>&1 &`
	if _, err := c.Run(ctx, "", "/bin/sh", "-c", start, filepath.Join(c.deps, postfixLib, "master")); err != nil {
		return nil, fmt.Errorf("start Postfix: %w", err)
	}
	if _, err := c.WaitLine(ctx, "log/mail.log", "daemon started"); err != nil {
		return nil, fmt.Errorf("start Postfix: %w", err)
	}
	return p, nil
}

// settings writes "key = value" lines, in order.
func settings(m map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "%s = %s\n", k, m[k])
	}
	return b.String()
}

// PostfixLog and the Maildir as the cell sees them; for us, [Cell.Path] of
// "log/mail.log" and "mail/inbox".
const PostfixLog = "/var/log/mail.log"

// masterCF has nothing chrooted: there is nothing in the cell to be protected from.
const masterCF = `smtp       inet  n - n -     - smtpd
pickup     unix       n - n 60    1 pickup
cleanup    unix       n - n -     0 cleanup
qmgr       unix       n - n 300   1 qmgr
tlsmgr     unix       - - n 1000? 1 tlsmgr
rewrite    unix       - - n -     - trivial-rewrite
bounce     unix       - - n -     0 bounce
defer      unix       - - n -     0 bounce
trace      unix       - - n -     0 bounce
verify     unix       - - n -     1 verify
flush      unix       n - n 1000? 0 flush
proxymap   unix       - - n -     - proxymap
smtp       unix       - - n -     - smtp
relay      unix       - - n -     - smtp -o syslog_name=postfix/relay
showq      unix       n - n -     - showq
error      unix       - - n -     - error
retry      unix       - - n -     - error
discard    unix       - - n -     - discard
local      unix       - n n -     - local
virtual    unix       - n n -     - virtual
anvil      unix       - - n -     1 anvil
scache     unix       - - n -     1 scache
postlog    unix-dgram n - n -     1 postlogd
`

// prepare makes the queue, as "postfix check" would with the help of files of
// an installed Postfix.
func (p *Postfix) prepare() error {
	var errs []error
	dir := func(name string, mode os.FileMode, uid, gid int) {
		path := p.cell.Path(name)
		errs = append(errs, os.MkdirAll(path, 0o755), os.Chown(path, uid, gid), os.Chmod(path, mode))
	}
	dir("spool/postfix", 0o755, 0, 0)
	dir("spool/postfix-data", 0o700, uidPostfix, gidPostfix)
	dir("spool/postfix/pid", 0o755, 0, 0)
	for _, d := range []string{"active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace"} {
		dir("spool/postfix/"+d, 0o700, uidPostfix, gidPostfix)
	}
	dir("spool/postfix/maildrop", 0o730|os.ModeSticky, uidPostfix, gidPostdrop)
	dir("spool/postfix/public", 0o710, uidPostfix, gidPostdrop)
	return errors.Join(errs...)
}

// Submit hands a message to Postfix's sendmail. The args are its further
// options ("-N", "success,delay").
func (p *Postfix) Submit(ctx context.Context, from, to, message string, args ...string) error {
	all := append([]string{"-i", "-f", from}, args...)
	_, err := p.cell.Run(ctx, message, filepath.Join(p.sbin, "sendmail"), append(all, "--", to)...)
	return err
}

// Flush tries everything in the queue now.
func (p *Postfix) Flush(ctx context.Context) error {
	_, err := p.cell.Run(ctx, "", filepath.Join(p.sbin, "postqueue"), "-f")
	return err
}

// Queue gives what "postqueue -p" shows.
func (p *Postfix) Queue(ctx context.Context) (string, error) {
	return p.cell.Run(ctx, "", filepath.Join(p.sbin, "postqueue"), "-p")
}

// QueueJSON gives what "postqueue -j" shows: a line for each message.
func (p *Postfix) QueueJSON(ctx context.Context) (string, error) {
	return p.cell.Run(ctx, "", filepath.Join(p.sbin, "postqueue"), "-j")
}

// Version of this Postfix.
func (p *Postfix) Version(ctx context.Context) (string, error) {
	out, err := p.cell.Run(ctx, "", filepath.Join(p.sbin, "postconf"), "-dh", "mail_version")
	return strings.TrimSpace(out), err
}
