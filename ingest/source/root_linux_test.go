package source

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// giveUpRoot lets the rest of the test look at files as nobody, whom permissions
// bind: root may read everything. Only this thread is concerned, and a walk
// stays on the goroutine that began it.
func giveUpRoot(t *testing.T, dir string) {
	t.Helper()
	const nobody = 65534
	must(t, os.Chmod(filepath.Dir(dir), 0o755)) // made by t.TempDir for its owner alone
	must(t, os.Chmod(dir, 0o755))
	runtime.LockOSThread()
	must(t, syscall.Setfsuid(nobody))
	t.Cleanup(func() {
		must(t, syscall.Setfsuid(0))
		runtime.UnlockOSThread()
	})
	if _, err := os.ReadDir(dir); err != nil {
		t.Skip("nobody may not enter the temporary folder: ", err)
	}
}
