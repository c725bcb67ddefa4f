package mta

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// OpenSMTPD is a running OpenSMTPD in a cell: it takes mail for its own domain and
// for the users that it was told of, all into one Maildir.
type OpenSMTPD struct{ cell *Cell }

// OpenSMTPDLog is where it writes, a name as for [Cell.Path].
const OpenSMTPDLog = "log/smtpd.log"

// The users that OpenSMTPD and Dovecot insist on.
const (
	uidSMTPD, uidSMTPQ         = 64205, 64206
	uidDovecot, uidDovecotNull = 64207, 64208
)

// StartOpenSMTPD starts the daemon. It listens on 127.0.0.1:port; users are the local parts that it
// takes. Of o, Host and Domain count. One OpenSMTPD a cell. The error wraps [ErrUnavailable] where it was
// not unpacked.
func StartOpenSMTPD(ctx context.Context, c *Cell, o Setup, port int, users []string) (*OpenSMTPD, error) {
	if err := present(c.deps, "opensmtpd/usr/sbin/smtpd"); err != nil {
		return nil, err
	}
	table := ""
	for i, user := range users {
		if i > 0 {
			table += ", "
		}
		table += fmt.Sprintf("%q = \"vmail\"", user+"@"+o.Domain)
	}
	config := fmt.Sprintf("table users { %s }\nlisten on 127.0.0.1 port %d hostname %q\n", table, port, o.Host)
	config += "action \"in\" maildir \"/var/mail/inbox\" virtual <users>\n" +
		fmt.Sprintf("match from any for domain %q action \"in\"\n", o.Domain)
	err := errors.Join(
		addUser(c, "opensmtpd", uidSMTPD, "/var/lib/opensmtpd/empty"),
		addUser(c, "opensmtpq", uidSMTPQ, "/nonexistent"),
		c.WriteFile("etc/smtpd.conf", config), os.Chmod(c.Path("etc/smtpd.conf"), 0o600),
	)
	if err != nil {
		return nil, fmt.Errorf("configure OpenSMTPD: %w", err)
	}
	// Its places are compiled in; those that are not the cell's own anyway are put over the
	// machine's, for the cell only.
	const places = `set -e
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /var/lib
mkdir -p /var/lib/opensmtpd/empty
mount --bind "$0/opensmtpd/usr/libexec" /usr/libexec
"$0/opensmtpd/usr/sbin/smtpd" -d -f /etc/smtpd.conf </dev/null >/var/log/smtpd.log 2>&1 &`
	if _, err := c.Run(ctx, "", "/bin/sh", "-c", places, c.deps); err != nil {
		return nil, fmt.Errorf("start OpenSMTPD: %w", err)
	}
	// It listens some time after it said that it is starting, and says nothing of it.
	var refused error
	err = wait(ctx, func() bool {
		conn, err := c.Dial(ctx, "127.0.0.1", fmt.Sprintf("127.0.0.1:%d", port))
		if refused = err; err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	if err != nil {
		out, _ := os.ReadFile(c.Path(OpenSMTPDLog))
		return nil, fmt.Errorf("start OpenSMTPD: %w: %w; it says %s", err, refused, out)
	}
	return &OpenSMTPD{cell: c}, nil
}

// present says whether a program was unpacked by etc/test-deps.
func present(deps, name string) error {
	if _, err := os.Stat(filepath.Join(deps, name)); err != nil {
		return fmt.Errorf("%w: %w; run etc/test-deps", ErrUnavailable, err)
	}
	return nil
}

// addUser makes a user of the cell, with a group of its own.
func addUser(c *Cell, name string, id int, home string) error {
	return errors.Join(
		appendFile(c.Path("etc/passwd"), fmt.Sprintf("%s:x:%d:%d::%s:/bin/false\n", name, id, id, home)),
		appendFile(c.Path("etc/group"), fmt.Sprintf("%s:x:%d:\n", name, id)),
	)
}

func appendFile(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
