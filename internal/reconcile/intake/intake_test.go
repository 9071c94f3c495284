package intake_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"tenu/internal/reconcile/intake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var july = intake.Period{From: 1783555200_000000, To: 1783641600_000000} // 9 July 2026

func read(t *testing.T, f *intake.File) (string, error) {
	t.Helper()
	in, err := f.Open(t.Context())
	if err != nil {
		return "", err
	}
	defer in.Close()
	text, err := io.ReadAll(in)
	return string(text), err
}

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"b.csv": "two", "a.csv": "one", ".c.csv": "being written", "d.txt": "other"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "e.csv"), 0o700); err != nil {
		t.Fatal(err)
	}
	d := &intake.Directory{Path: dir, Pattern: "*.csv"}
	files, err := d.Files(t.Context(), july)
	if err != nil || len(files) != 2 {
		t.Fatalf("%+v, %v", files, err)
	}
	if text, err := read(t, &files[0]); err != nil || text != "one" {
		t.Errorf("%q, %v", text, err)
	}
	var seen intake.Seen
	seen.Add(d.Name(), &files[0])
	if !seen.Has(d.Name(), &files[0]) || seen.Has(d.Name(), &files[1]) {
		t.Error("which was loaded is not remembered")
	}
	if err := os.WriteFile(filepath.Join(dir, "a.csv"), []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err = d.Files(t.Context(), july)
	if err != nil || seen.Has(d.Name(), &files[0]) {
		t.Errorf("a file that changed is not read again: %v", err)
	}
}

func TestHTTP(t *testing.T) {
	var mu sync.Mutex
	asked := []string{}
	cut := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.URL.RawQuery+" "+r.Header.Get("Authorization")+" "+r.Header.Get("If-None-Match"))
		w.Header().Set("ETag", `"v1"`)
		switch {
		case r.Header.Get("If-None-Match") == `"v1"`:
			w.WriteHeader(http.StatusNotModified)
		case cut:
			cut = false
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("cut"))
		default:
			_, _ = w.Write([]byte("whole"))
		}
	}))
	defer server.Close()
	client := server.Client()
	defer client.CloseIdleConnections()
	h := &intake.HTTP{Address: server.URL + "/statement?from={from}&to={to}&day={day}&secret=x", Header: http.Header{"Authorization": {"Bearer y"}}, Client: client}
	if strings.Contains(h.Name(), "secret") {
		t.Errorf("the name %q tells a secret", h.Name())
	}
	one := func() (string, error) {
		files, err := h.Files(t.Context(), july)
		if err != nil || len(files) != 1 || !files[0].Dated {
			t.Fatal(files, err)
		}
		return read(t, &files[0])
	}
	if _, err := one(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a cut answer: %v", err)
	}
	if text, err := one(); err != nil || text != "whole" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := one(); !errors.Is(err, intake.ErrUnchanged) {
		t.Errorf("unchanged: %v", err)
	}
	want := `from=2026-07-09T00:00:00Z&to=2026-07-10T00:00:00Z&day=2026-07-09&secret=x Bearer y `
	if len(asked) != 3 || asked[0] != want || asked[1] != want || asked[2] != want+`"v1"` {
		t.Errorf("asked %q", asked)
	}
}

// sftpServer is a real server of a folder, with its host key.
func sftpServer(t *testing.T, folder, password string) (address string, host ssh.PublicKey) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{PasswordCallback: func(c ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
		if c.User() == "tenu" && string(p) == password {
			return nil, nil
		}
		return nil, errors.New("no")
	}}
	config.AddHostKey(signer)
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed with the test
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { serveSFTP(conn, config, folder) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		all.Wait()
	})
	return listener.Addr().String(), signer.PublicKey()
}

func serveSFTP(conn net.Conn, config *ssh.ServerConfig, folder string) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for fresh := range channels {
		channel, more, err := fresh.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range more {
				_ = r.Reply(r.Type == "subsystem", nil)
			}
		}()
		server, err := sftp.NewServer(channel, sftp.ReadOnly(), sftp.WithServerWorkingDirectory(folder))
		if err != nil {
			return
		}
		_ = server.Serve()
		_ = channel.Close() // the test is over
	}
}

func TestSFTP(t *testing.T) {
	dir := t.TempDir()
	big := bytes.Repeat([]byte("a line of a statement\n"), 50_000)
	for name, text := range map[string][]byte{"wallet-1.csv": big, "wallet-2.csv": []byte("two"), ".wallet-3.csv": nil, "other.csv": nil} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address, host := sftpServer(t, dir, "secret")
	s := &intake.SFTP{Address: address, User: "tenu", Password: "secret", Host: string(ssh.MarshalAuthorizedKey(host)), Folder: ".", Pattern: "wallet-*.csv", Timeout: 10 * time.Second}
	files, err := s.Files(t.Context(), july)
	if err != nil || len(files) != 2 || files[0].Mark == "" {
		t.Fatalf("%+v, %v", files, err)
	}
	if text, err := read(t, &files[0]); err != nil || text != string(big) {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	wrong := *s
	wrong.Password = "guess"
	if _, err := wrong.Files(t.Context(), july); err == nil {
		t.Error("a wrong password is let in")
	}
	// A server with another host key is not spoken to.
	_, other := sftpServer(t, dir, "secret")
	wrong = *s
	wrong.Host = string(ssh.MarshalAuthorizedKey(other))
	if _, err := wrong.Files(t.Context(), july); !errors.Is(err, intake.ErrHostKey) {
		t.Errorf("another host key: %v", err)
	}
	for name, broken := range map[string]intake.SFTP{"no host key": {User: "tenu", Password: "x"}, "no password": {User: "tenu", Host: s.Host},
		"no private key": {User: "tenu", Host: s.Host, Key: pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: []byte("x")})}} {
		if err := broken.Check(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Files(ctx, july); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestGSMAPages(t *testing.T) {
	const count = 25
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/accounts/organisationid/tenu/transactions" || r.Header.Get("X-API-Key") != "key" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
		page := []map[string]string{}
		for i := offset; i < min(offset+limit, count); i++ {
			page = append(page, map[string]string{"transactionReference": fmt.Sprint("W", i)})
		}
		w.Header().Set("X-Records-Available-Count", strconv.Itoa(count))
		_ = json.NewEncoder(w).Encode(page)
	}))
	defer server.Close()
	client := server.Client()
	defer client.CloseIdleConnections()
	g := &intake.GSMA{URL: server.URL, Account: "organisationid/tenu", Header: http.Header{"X-Api-Key": {"key"}}, Client: client, Page: 10}
	files, err := g.Files(t.Context(), july)
	if err != nil {
		t.Fatal(err)
	}
	text, err := read(t, &files[0])
	var all []map[string]string
	if err := errors.Join(err, json.Unmarshal([]byte(text), &all)); err != nil || len(all) != count || all[24]["transactionReference"] != "W24" {
		t.Errorf("%d transactions, %v", len(all), err)
	}
	g.Header = nil
	if files, err = g.Files(t.Context(), july); err != nil {
		t.Fatal(err)
	}
	if _, err := read(t, &files[0]); err == nil || !strings.Contains(err.Error(), "answered 403") {
		t.Errorf("without a key: %v", err)
	}
}
