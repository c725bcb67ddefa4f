package mta

import (
	"context"
	"fmt"
)

// Listen starts Exim's daemon on 127.0.0.1 at the port: what comes there is delivered by a process of
// its own.
func (x *Exim) Listen(ctx context.Context, port int) error {
	const start = `"$0" -bdf -oX "$1" </dev/null >/dev/null 2>&1 &`
	if _, err := x.cell.Run(ctx, "", "/bin/sh", "-c", start, x.path, fmt.Sprint(port)); err != nil {
		return fmt.Errorf("start Exim: %w", err)
	}
	if _, err := x.cell.WaitLine(ctx, "log/exim4/mainlog", "daemon started"); err != nil {
		return fmt.Errorf("start Exim: %w", err)
	}
	return nil
}
