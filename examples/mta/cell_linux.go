package mta

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/postroad/postroad/dns/zone"
)

// Cell is a closed place for mail servers. Its methods may be called from any
// goroutine; what runs in it ends with [Cell.Close].
type Cell struct {
	dir    string // on our side: etc, spool, log, mail, dev
	deps   string
	init   *exec.Cmd
	alive  io.Closer         // standard input of the first process: its lifeline
	work   chan func() error // run on the thread that lives in the cell's network
	result chan error
	closes []io.Closer
	env    []string // all that the servers learn of ours: nothing
	syslog *Syslog
}

// networks are those for documentation (RFC 5737); every address in them is
// the cell's own.
var networks = [...]string{"192.0.2.1", "198.51.100.1", "203.0.113.1"}

// Open makes a cell in which nothing runs but DNS, if it has a zone. The error
// wraps [ErrUnavailable] where the kernel refuses (a container without rights).
func Open(ctx context.Context, o Options) (*Cell, error) {
	dir, err := os.MkdirTemp("", "postroad-cell-")
	if err != nil {
		return nil, fmt.Errorf("make a cell: %w", err)
	}
	c := &Cell{dir: dir, deps: o.Deps, work: make(chan func() error), result: make(chan error)}
	if err := c.open(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("make a cell: %w", err), c.Close())
	}
	return c, nil
}

func (c *Cell) open(ctx context.Context, o Options) error {
	if err := c.furnish(o.Host); err != nil {
		return err
	}
	if err := c.arrange(o); err != nil {
		return err
	}
	entered := make(chan error)
	go c.live(entered)
	if err := <-entered; err != nil {
		c.work = nil
		return fmt.Errorf("%w: enter a network of its own: %w", ErrUnavailable, err)
	}
	if err := c.do(func() error { return c.start(ctx, o.Host) }); err != nil {
		return err
	}
	if o.Zone == "" {
		return nil
	}
	if err := c.serveDNS(o.Zone); err != nil {
		return fmt.Errorf("start DNS: %w", err)
	}
	return nil
}

// serveDNS answers where the cell's resolv.conf asks, until the cell is closed.
func (c *Cell) serveDNS(text string) error {
	data, err := zone.Parse(text)
	if err != nil {
		return err
	}
	udp, err := c.ListenPacket("udp4", NameServer)
	if err != nil {
		return err
	}
	tcp, err := c.Listen("tcp4", NameServer)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background()) // the cell's life, not that of its opening
	done := make(chan error, 1)
	go func() { done <- data.Serve(ctx, udp, tcp) }()
	c.closes = append(c.closes, ending(func() error {
		cancel()
		return <-done
	}))
	return nil
}

// ending is an io.Closer.
type ending func() error

func (e ending) Close() error { return e() }

// live is the one thread that is in the cell's network: sockets made and
// processes started on it are the cell's. It never leaves, and ends with the goroutine.
func (c *Cell) live(entered chan<- error) {
	runtime.LockOSThread()
	err := syscall.Unshare(syscall.CLONE_NEWNET)
	if err == nil {
		err = raiseLoopback()
	}
	entered <- err
	if err != nil {
		return
	}
	for f := range c.work {
		c.result <- f()
	}
}

func (c *Cell) do(f func() error) error {
	if c.work == nil { // it could not be entered, or is closed
		return net.ErrClosed
	}
	c.work <- f
	return <-c.result
}

// start brings up the first process, which makes the mounts and then only waits
// for its standard input to close. All others are its children in the kernel's
// eyes: they die with it.
func (c *Cell) start(ctx context.Context, host string) error {
	const script = `set -e
mount --make-rprivate /
mount --bind "$0/etc" /etc
for d in spool log mail; do mount --bind "$0/$d" /var/$d; done
for f in null zero random urandom; do : >"$0/dev/$f"; mount --bind /dev/$f "$0/dev/$f"; done
mount -t tmpfs -o mode=1777 tmpfs "$0/dev/shm"
mount --rbind "$0/dev" /dev
mount -t proc proc /proc
echo "$1" >/proc/sys/kernel/hostname
echo ready
cat >/dev/null`
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", script, c.dir, host)
	cmd.Env = environment("UTC")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	var complaint strings.Builder
	cmd.Stderr = &complaint
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w: start its first process: %w", ErrUnavailable, err)
	}
	c.init, c.alive = cmd, in
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		in.Close()
		err = cmd.Wait()
		c.init = nil
		return fmt.Errorf("%w: mount its directories: %w: %s", ErrUnavailable, err, strings.TrimSpace(complaint.String()))
	}
	return nil
}

func environment(zone string) []string {
	return []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "TZ=" + zone}
}

// arrange sets the servers' clock and log.
func (c *Cell) arrange(o Options) error {
	if o.Local == "" {
		o.Local = "UTC"
	}
	c.env = environment(o.Local)
	if o.Clock != nil {
		more, err := o.Clock.settle(o.Deps, c.Path("etc/clock"), "/etc/clock")
		if err != nil {
			return err
		}
		c.env = append(c.env, more...)
	}
	if o.Syslog != nil {
		return c.log(o.Syslog, o.Clock)
	}
	return nil
}

// furnish writes the directories that are mounted over the machine's.
func (c *Cell) furnish(host string) error {
	// MkdirTemp gives 0700; the servers' own users must get in.
	if err := os.Chmod(c.dir, 0o755); err != nil {
		return err
	}
	for _, d := range []string{"etc", "spool", "log", "mail", "dev", "dev/shm"} {
		if err := os.Mkdir(filepath.Join(c.dir, d), 0o755); err != nil {
			return err
		}
	}
	for _, name := range []string{"ld.so.cache", "ld.so.conf", "protocols"} {
		b, err := os.ReadFile(filepath.Join("/etc", name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := c.WriteFile("etc/"+name, string(b)); err != nil {
			return err
		}
	}
	short, _, _ := strings.Cut(host, ".")
	for name, text := range map[string]string{
		"passwd": fmt.Sprintf("root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/false\n"+
			"postfix:x:%d:%d::/nonexistent:/bin/false\nDebian-exim:x:%d:%d::/nonexistent:/bin/false\n"+
			"vmail:x:%d:%d::/var/mail:/bin/false\n",
			uidPostfix, gidPostfix, uidExim, gidExim, uidMail, gidMail),
		"group": fmt.Sprintf("root:x:0:\nnogroup:x:65534:\npostfix:x:%d:\npostdrop:x:%d:\nDebian-exim:x:%d:\nvmail:x:%d:\n",
			gidPostfix, gidPostdrop, gidExim, gidMail),
		"hosts":         fmt.Sprintf("127.0.0.1 localhost\n%s %s %s\n", Address, host, short),
		"resolv.conf":   "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n",
		"nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n",
		"services":      "smtp 25/tcp mail\ndomain 53/tcp\ndomain 53/udp\nsubmission 587/tcp\n",
		"aliases":       "postmaster: root\n",
		"mailname":      host + "\n",
	} {
		if err := c.WriteFile("etc/"+name, text); err != nil {
			return err
		}
	}
	return os.Chown(filepath.Join(c.dir, "mail"), uidMail, gidMail)
}

// Path gives the place on our side of a file in the cell: its first element is
// etc, spool, log, mail or dev.
func (c *Cell) Path(name string) string { return filepath.Join(c.dir, filepath.FromSlash(name)) }

// WriteFile writes a file of the cell and the directories on the way to it.
func (c *Cell) WriteFile(name, text string) error {
	path := c.Path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// Listen is [net.Listen] in the cell, for a world in it among others.
func (c *Cell) Listen(network, address string) (net.Listener, error) {
	var l net.Listener
	err := c.do(func() (err error) {
		if l, err = net.Listen(network, address); err == nil {
			c.closes = append(c.closes, l)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen in the cell: %w", err)
	}
	return l, nil
}

// ListenPacket is [net.ListenPacket] in the cell.
func (c *Cell) ListenPacket(network, address string) (net.PacketConn, error) {
	var conn net.PacketConn
	err := c.do(func() (err error) {
		if conn, err = net.ListenPacket(network, address); err == nil {
			c.closes = append(c.closes, conn)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen in the cell: %w", err)
	}
	return conn, nil
}

// Interfaces is [net.Interfaces] in the cell: there is nothing but lo.
func (c *Cell) Interfaces() ([]net.Interface, error) {
	var all []net.Interface
	err := c.do(func() (err error) {
		all, err = net.Interfaces()
		return err
	})
	return all, err
}

// Dial connects to a port in the cell, from any address of its networks.
func (c *Cell) Dial(ctx context.Context, from, to string) (net.Conn, error) {
	var conn net.Conn
	err := c.do(func() (err error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err = d.DialContext(ctx, "tcp4", to)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("dial in the cell: %w", err)
	}
	return conn, nil
}

// Deaf opens a port at which connecting times out, as at a host behind a
// firewall that drops packets: its queue of connections is full and nobody takes them.
func (c *Cell) Deaf(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	sa := &syscall.SockaddrInet4{Port: n}
	copy(sa.Addr[:], net.ParseIP(host).To4())
	return c.do(func() error {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open a deaf port: %w", err)
		}
		c.closes = append(c.closes, descriptor(fd))
		if err := errors.Join(syscall.Bind(fd, sa), syscall.Listen(fd, 0)); err != nil {
			return fmt.Errorf("open a deaf port: %w", err)
		}
		caller, err := net.Dial("tcp4", addr) // the only one that fits
		if err != nil {
			return fmt.Errorf("fill a deaf port: %w", err)
		}
		c.closes = append(c.closes, caller)
		return nil
	})
}

type descriptor int

func (d descriptor) Close() error { return syscall.Close(int(d)) }

// Command prepares a program in the cell. If ctx ends, Close is what ends the
// processes that it may have started.
func (c *Cell) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	all := append([]string{"--target", strconv.Itoa(c.init.Process.Pid),
		"--mount", "--uts", "--ipc", "--net", "--pid", "--", name}, args...)
	cmd := exec.CommandContext(ctx, "nsenter", all...)
	cmd.Env = c.env
	cmd.WaitDelay = time.Second // a daemon may keep our pipes open
	return cmd
}

// Run runs a program in the cell and gives what it wrote.
func (c *Cell) Run(ctx context.Context, input string, name string, args ...string) (string, error) {
	cmd := c.Command(ctx, name, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("run %s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err,
			strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// Close ends every process of the cell and removes its directory. It is safe to
// call twice.
func (c *Cell) Close() error {
	var errs []error
	if c.init != nil {
		// Killing the first process of a PID namespace kills all others, and the
		// kernel is done with them before Wait returns (pid_namespaces(7)).
		_ = c.init.Process.Kill()
		_ = c.alive.Close()
		_ = c.init.Wait() // killed: its error is no news
		c.init = nil
	}
	for _, x := range slices.Backward(c.closes) { // what serves a port ends before the port
		if err := x.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	c.closes = nil
	if c.work != nil {
		close(c.work)
		c.work = nil
	}
	return errors.Join(append(errs, os.RemoveAll(c.dir))...)
}

// raiseLoopback sets lo up and gives it the networks. An address with a prefix
// on a loopback interface makes the whole network local, so that receivers can
// listen on any address in it. By ioctl, netdevice(7): iproute2 need not be here.
func raiseLoopback() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	if err := setFlags(fd, "lo"); err != nil {
		return err
	}
	for i, network := range networks {
		name := "lo:" + strconv.Itoa(i+1)
		if err := setAddress(fd, syscall.SIOCSIFADDR, name, net.ParseIP(network)); err != nil {
			return err
		}
		if err := setAddress(fd, syscall.SIOCSIFNETMASK, name, net.IPv4(255, 255, 255, 0)); err != nil {
			return err
		}
	}
	// Postfix listens only at addresses that an interface has by name.
	if err := setAddress(fd, syscall.SIOCSIFADDR, "lo:own", net.ParseIP(Address)); err != nil {
		return err
	}
	return setAddress(fd, syscall.SIOCSIFNETMASK, "lo:own", net.IPv4(255, 255, 255, 255))
}

type ifreq struct {
	name [syscall.IFNAMSIZ]byte
	data [24]byte
}

func setFlags(fd int, name string) error {
	var r ifreq
	copy(r.name[:], name)
	*(*uint16)(unsafe.Pointer(&r.data)) = syscall.IFF_UP | syscall.IFF_RUNNING
	return ioctl(fd, syscall.SIOCSIFFLAGS, &r)
}

func setAddress(fd int, request uintptr, name string, ip net.IP) error {
	var r ifreq
	copy(r.name[:], name)
	sa := (*syscall.RawSockaddrInet4)(unsafe.Pointer(&r.data))
	sa.Family = syscall.AF_INET
	copy(sa.Addr[:], ip.To4())
	return ioctl(fd, request, &r)
}

func ioctl(fd int, request uintptr, r *ifreq) error {
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(r)))
	if errno != 0 {
		return os.NewSyscallError("ioctl", errno)
	}
	return nil
}
