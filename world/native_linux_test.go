package world

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// TestNative runs a world on port 25 of addresses of the documentation networks,
// in a network of its own that has only a loopback.
func TestNative(t *testing.T) {
	var faults []string
	done := make(chan error)
	go func() { // in the other network; the thread ends with it
		runtime.LockOSThread()
		if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
			done <- errors.Join(errors.ErrUnsupported, err)
			return
		}
		done <- native(t, &faults)
	}()
	err := <-done
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("no network of its own:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Error(f)
	}
}

func native(t *testing.T, faults *[]string) error {
	if err := raise("lo", netip.Addr{}); err != nil {
		return err
	}
	if err := raise("lo:1", netip.MustParseAddr("192.0.2.1")); err != nil {
		return err
	}
	s, err := ReadScenario(strings.NewReader(mess))
	if err != nil {
		return err
	}
	s.Providers[0].Hosts[0].Addresses = s.Providers[0].Hosts[0].Addresses[:1]
	// Start listens on this thread; the goroutines of the world are on others, in
	// the machine's network, where they must not listen.
	started := false
	o := Options{Mode: Native, Listen: func(network, address string) (net.Listener, error) {
		if started {
			return nil, errors.New("listened again")
		}
		return net.Listen(network, address)
	}}
	w, err := Start(t.Context(), s, o)
	if err != nil {
		return err
	}
	defer w.Close()
	started = true
	d := delivery{host: "mx1.post.example", source: "192.0.2.99", to: []string{"a@post.example"}}
	if got := d.try(t.Context(), w); got != "delivered" {
		*faults = append(*faults, "delivery: "+got)
	}
	if e := w.Truth().Accepted; len(e) != 1 || e[0].Source.String() != "192.0.2.99" || e[0].Address.String() != "192.0.2.1" {
		*faults = append(*faults, "truth")
	}
	if w.DNS() != netip.MustParseAddrPort("127.0.0.1:53") {
		*faults = append(*faults, "name server at "+w.DNS().String())
	}
	return nil
}

// raise brings an interface up and gives it an address with its /24, as
// netdevice(7) has it.
func raise(name string, a netip.Addr) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	type request struct {
		name [syscall.IFNAMSIZ]byte
		data [24]byte
	}
	do := func(kind uintptr, r *request) error {
		copy(r.name[:], name)
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), kind, uintptr(unsafe.Pointer(r))); errno != 0 {
			return errno
		}
		return nil
	}
	if !a.IsValid() {
		var r request
		*(*uint16)(unsafe.Pointer(&r.data)) = syscall.IFF_UP | syscall.IFF_RUNNING
		return do(syscall.SIOCSIFFLAGS, &r)
	}
	for _, x := range []struct {
		kind uintptr
		ip   [4]byte
	}{{syscall.SIOCSIFADDR, a.As4()}, {syscall.SIOCSIFNETMASK, [4]byte{255, 255, 255, 0}}} {
		var r request
		sa := (*syscall.RawSockaddrInet4)(unsafe.Pointer(&r.data))
		sa.Family, sa.Addr = syscall.AF_INET, x.ip
		if err := do(x.kind, &r); err != nil {
			return err
		}
	}
	return nil
}
