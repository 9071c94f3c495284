package e2e

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"
)

// passage is what becomes of bytes on a wire.
type passage int

const (
	pass    passage = iota
	cut             // they are lost, and the connection ends
	swallow         // they and all that follow are lost, and nobody is told
)

// rule decides over bytes as they were read from one side. It is called by
// many connections at once.
type rule func(data []byte) passage

// ruled is a toxic that does as a rule says.
type ruled struct{ rule rule }

// NewState is toxics.StatefulToxic: whether a connection is swallowed.
func (r *ruled) NewState() any { return new(bool) }

// Pipe is toxics.Toxic. It is interrupted and called again when other toxics
// come and go.
func (r *ruled) Pipe(stub *toxics.ToxicStub) {
	swallowed := stub.State.(*bool) //nolint:errcheck // NewState made it
	for {
		select {
		case <-stub.Interrupt:
			return
		case chunk := <-stub.Input:
			if chunk == nil {
				stub.Close()
				return
			}
			f := swallow
			if !*swallowed {
				f = r.rule(chunk.Data)
			}
			switch f {
			case pass:
				stub.Output <- chunk
			case swallow:
				*swallowed = true
			case cut:
				stub.Close()
				for range stub.Input { // until the sender has noticed
				}
				return
			}
		}
	}
}

// wire is toxiproxy between a node and what it talks to.
type wire struct {
	t       *testing.T
	proxy   *toxiproxy.Proxy
	address string
}

// newWire lets an address be reached at another until the test ends. Requests
// go by one rule, answers by the other.
func newWire(t *testing.T, address string, requests, answers rule) *wire {
	t.Helper()
	toxics.Register("ruled", new(ruled))
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	w := &wire{t: t, proxy: toxiproxy.NewProxy(server, t.Name(), "127.0.0.1:0", address)}
	for stream, rule := range map[string]rule{"upstream": requests, "downstream": answers} {
		w.add(`{"name":"rule_` + stream + `","type":"ruled","stream":"` + stream + `"}`).Toxic.(*ruled).rule = rule //nolint:errcheck // it is what was asked for
	}
	if err := w.proxy.Start(); err != nil {
		t.Fatalf("start toxiproxy: %v", err)
	}
	t.Cleanup(w.proxy.Stop)
	w.address = w.proxy.Listen
	return w
}

// add puts one of toxiproxy's toxics on the wire, as its API has it.
func (w *wire) add(toxic string) *toxics.ToxicWrapper {
	w.t.Helper()
	wrapper, err := w.proxy.Toxics.AddToxicJson(strings.NewReader(toxic))
	if err != nil {
		w.t.Fatalf("add toxic %s: %v", toxic, err)
	}
	return wrapper
}

// host is the host and port of a URL.
func host(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// overTCP makes a database that listens on a socket reachable over TCP, which
// is all that toxiproxy speaks, and returns its address and the address that a
// node takes when it is reached at another.
func overTCP(t *testing.T, dsn string) (address string, at func(address string) string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // of a test
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(u.Query().Get("host"), ".s.PGSQL.5432")
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { relay(client, socket) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		conns.Wait()
	})
	return listener.Addr().String(), func(address string) string {
		return fmt.Sprintf("postgres://tenu@%s%s?sslmode=disable", address, u.Path)
	}
}

// relay joins a connection to a socket until either ends.
func relay(client net.Conn, socket string) {
	defer client.Close()
	server, err := net.Dial("unix", socket) //nolint:noctx // of a test
	if err != nil {
		return
	}
	var both sync.WaitGroup
	for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
		both.Go(func() {
			_, _ = io.Copy(pair[0], pair[1]) // it ends as connections do
			_ = client.Close()
			_ = server.Close()
		})
	}
	both.Wait()
}
