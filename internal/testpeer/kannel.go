package testpeer

import (
	"net"
	"os"
	"strconv"
	"testing"

	"tenu/internal/peer"
)

// driveSMPP is where Debian's kannel-extras keeps Kannel's own SMS centre for tests.
const driveSMPP = "/usr/lib/kannel/test/drive_smpp"

// RunKannel starts Kannel's drive_smpp, an SMS centre that takes a transmitter and a
// receiver, brings so many messages and takes what it is sent, and returns its
// address. Where it is missing the test is skipped, saying what to do,
// or fails as CGRateS says. It is killed with the test at the latest.
func RunKannel(t testing.TB, messages int) (address string) {
	t.Helper()
	if _, err := os.Stat(driveSMPP); err != nil {
		Missing(t, "Kannel's %s is not installed: as root, `apt-get install kannel-extras`", driveSMPP)
	}
	// It wants to reach Kannel's own box at this port, and waits for what comes from there.
	box, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:13001")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := box.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
		}
	}()
	address = freeAddress(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	p := peer.Prepare(nil, t.TempDir(), driveSMPP, "-v", "0", "-p", port, "-m", strconv.Itoa(messages))
	if err := p.Start(); err != nil {
		t.Fatalf("start drive_smpp: %v", err)
	}
	t.Cleanup(func() {
		p.Kill()
		_ = box.Close()
		if t.Failed() {
			t.Logf("drive_smpp said: %s", p.Tail())
		}
	})
	return address
}
