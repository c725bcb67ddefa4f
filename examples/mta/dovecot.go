package mta

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Dovecot is a running Dovecot in a cell that does nothing but take mail by LMTP (RFC
// 2033), for the users that it was told of, into one Maildir each: mail/USER/new, a name as for
// [Cell.Path].
type Dovecot struct{ cell *Cell }

// DovecotLog is where it writes, a name as for [Cell.Path].
const DovecotLog = "log/dovecot.log"

// StartDovecot starts the daemon, with LMTP on 127.0.0.1:port and STARTTLS there if certificate and
// key are there (PEM). Its quota for the user "full" is used up. The error wraps
// [ErrUnavailable] where it was not unpacked.
func StartDovecot(ctx context.Context, c *Cell, o Setup, port int, users []string, certificate, key string) (*Dovecot, error) {
	if err := present(c.deps, "dovecot/usr/lib/dovecot/lmtp"); err != nil {
		return nil, err
	}
	var passwd strings.Builder
	for _, user := range users {
		fmt.Fprintf(&passwd, "%s@%s:{PLAIN}x:%d:%d::/var/mail/%s::userdb_mail=maildir:/var/mail/%s", user, o.Domain, uidMail, gidMail, user, user)
		if user == "full" {
			passwd.WriteString(" userdb_quota_rule=*:bytes=1")
		}
		passwd.WriteString("\n")
	}
	config := strings.NewReplacer("@HOST@", o.Host,
		"@PORT@", fmt.Sprint(port), "@UID@", fmt.Sprint(uidMail), "@SSL@", map[bool]string{true: "yes", false: "no"}[certificate != ""]).
		Replace(dovecotConfig)
	err := errors.Join(
		addUser(c, "dovecot", uidDovecot, "/nonexistent"), addUser(c, "dovenull", uidDovecotNull, "/nonexistent"),
		c.WriteFile("etc/dovecot/dovecot.conf", config), c.WriteFile("etc/dovecot/users", passwd.String()),
		c.WriteFile("etc/dovecot/own.pem", certificate), c.WriteFile("etc/dovecot/own.key", key),
		os.Chmod(c.Path("etc/dovecot/own.key"), 0o600),
	)
	if err != nil {
		return nil, fmt.Errorf("configure Dovecot: %w", err)
	}
	// Its places are compiled in: they are laid under the machine's, for the cell only.
	const start = `set -e
mount -t overlay -o "lowerdir=/usr:$0/dovecot/usr" overlay /usr
/usr/sbin/dovecot -F </dev/null >/var/log/dovecot.out 2>&1 &`
	if _, err := c.Run(ctx, "", "/bin/sh", "-c", start, c.deps); err != nil {
		return nil, fmt.Errorf("start Dovecot: %w", err)
	}
	if _, err := c.WaitLine(ctx, DovecotLog, "starting up"); err != nil {
		out, _ := os.ReadFile(c.Path("log/dovecot.out"))
		return nil, fmt.Errorf("start Dovecot: %w; %s", err, out)
	}
	return &Dovecot{cell: c}, nil
}

// dovecotConfig is for Debian 12's Dovecot 2.3.
const dovecotConfig = `protocols = lmtp
listen = 127.0.0.1
base_dir = /var/spool/dovecot
state_dir = /var/spool/dovecot-state
hostname = @HOST@
log_path = /var/log/dovecot.log
import_environment = TZ LD_LIBRARY_PATH=/usr/lib/dovecot/modules/old-stats
default_internal_user = dovecot
default_internal_group = dovecot
default_login_user = dovenull
first_valid_uid = @UID@
disable_plaintext_auth = no
ssl = @SSL@
ssl_cert = </etc/dovecot/own.pem
ssl_key = </etc/dovecot/own.key
mail_plugins = quota
plugin {
  quota = maildir:User quota
}
passdb {
  driver = passwd-file
  args = /etc/dovecot/users
}
userdb {
  driver = passwd-file
  args = /etc/dovecot/users
}
service stats {
  chroot =
}
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = @PORT@
  }
}
`
