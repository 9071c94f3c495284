package testpeer

import (
	"os/exec"
	"testing"
)

// Strace returns the path of strace, which makes system calls of a child fail.
// Where it is not installed, or may not trace, the test is skipped or fails as
// CGRateS says.
func Strace(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("strace")
	if err != nil {
		Missing(t, "strace is not installed: as root, `apt-get install strace`")
	}
	if output, err := exec.CommandContext(t.Context(), path, "-f", "-e", "trace=none", "true").CombinedOutput(); err != nil { //nolint:gosec // what was found on the PATH
		Missing(t, "strace may not trace here (in a container, allow SYS_PTRACE): %v: %s", err, output)
	}
	return path
}
