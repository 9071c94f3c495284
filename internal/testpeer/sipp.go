package testpeer

import (
	"os/exec"
	"testing"
)

// SIPp returns the path of sipp, which makes telephone calls as a scenario says.
// Where it is not installed, the test is skipped or fails as CGRateS says.
func SIPp(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("sipp")
	if err != nil {
		Missing(t, "sipp is not installed: as root, `apt-get install sip-tester`")
	}
	return path
}
