package mta

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Exim is Exim's program in a cell. It needs no daemon: mail is delivered by the
// process that takes it, and queue runs are asked for. It sends by MX; mail to
// its own domain, so also every bounce, lands in a Maildir.
type Exim struct {
	cell *Cell
	path string
}

// SetUpExim writes the configuration. One Exim a cell.
func SetUpExim(ctx context.Context, c *Cell, o Setup) (*Exim, error) {
	x := &Exim{cell: c, path: filepath.Join(c.deps, eximSbin, "exim4")}
	if o.Retry == "" {
		o.Retry = "4d"
	}
	config := strings.NewReplacer(
		"@HOST@", o.Host, "@DOMAIN@", o.Domain, "@EXIM@", x.path, "@RETRY@", o.Retry,
		"@ADDRESS@", Address, "@MAIN@", settings(o.Main), "@SMTP@", settings(o.SMTP),
	).Replace(eximConfig)
	errs := []error{c.WriteFile("etc/exim4/exim4.conf", config)}
	for _, d := range []string{"spool/exim4", "log/exim4"} {
		errs = append(errs, os.MkdirAll(c.Path(d), 0o750), os.Chown(c.Path(d), uidExim, gidExim))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("configure Exim: %w", err)
	}
	if _, err := c.Run(ctx, "", x.path, "-bV"); err != nil {
		return nil, fmt.Errorf("configure Exim: %w", err)
	}
	return x, nil
}

// eximConfig is where Debian's Exim looks for it, so that Exim keeps its
// rights when it starts itself again (option -C would cost them). The log is
// written as Debian's configuration has it written.
const eximConfig = `primary_hostname = @HOST@
qualify_domain = @DOMAIN@
exim_path = @EXIM@
spool_directory = /var/spool/exim4
log_file_path = /var/log/exim4/%slog
log_selector = +smtp_protocol_error +smtp_syntax_error +tls_certificate_verified +tls_peerdn
exim_user = Debian-exim
exim_group = Debian-exim
trusted_users = root
never_users =
local_from_check = false
disable_ipv6 = true
local_interfaces = 127.0.0.1
keep_environment =
acl_smtp_rcpt = accept
ignore_bounce_errors_after = 2d
timeout_frozen_after = 7d
@MAIN@
begin routers
own:
  driver = accept
  domains = @DOMAIN@
  transport = inbox
by_mx:
  driver = dnslookup
  transport = remote_smtp
  no_more
begin transports
inbox:
  driver = appendfile
  directory = /var/mail/inbox
  maildir_format
  user = vmail
  group = vmail
  delivery_date_add
  envelope_to_add
  return_path_add
remote_smtp:
  driver = smtp
  interface = @ADDRESS@
  connect_timeout = 3s
  command_timeout = 3s
  data_timeout = 3s
  final_timeout = 3s
@SMTP@
begin retry
* * F,@RETRY@,1s
`

// Submit delivers a message in the foreground: when it returns, the first
// attempt has been made. Args are further options of Exim.
func (x *Exim) Submit(ctx context.Context, from, to, message string, args ...string) error {
	all := append([]string{"-i", "-odi", "-f", from}, args...)
	_, err := x.cell.Run(ctx, message, x.path, append(all, "--", to)...)
	return err
}

// Flush tries everything in the queue now, frozen and not yet due too, and
// returns when that is done.
func (x *Exim) Flush(ctx context.Context) error {
	_, err := x.cell.Run(ctx, "", x.path, "-qff")
	return err
}

// Queue gives what "mailq" shows.
func (x *Exim) Queue(ctx context.Context) (string, error) {
	return x.cell.Run(ctx, "", x.path, "-bp")
}

// Version of this Exim.
func (x *Exim) Version(ctx context.Context) (string, error) {
	out, err := x.cell.Run(ctx, "", x.path, "-bV")
	if err != nil {
		return "", err
	}
	f := strings.Fields(out)
	if len(f) < 3 {
		return "", fmt.Errorf("read Exim's version: %q", out)
	}
	return f[2], nil
}
