package hook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// Target is a host that may be told.
type Target struct {
	// Host is its name in small letters, with ":port" where that is not 443.
	Host string
	// Client is the only API client whose listeners may name it; "": each may.
	Client string
	// Secrets sign what is sent there: one, or two while it is replaced.
	Secrets [][]byte
	// Private says that its address may be a private one or this machine's own.
	Private bool
	// Plain says that it is reached without TLS, which only tests may want.
	Plain bool
}

// The bounds of a URL, and of secrets at a time.
const (
	maxURL     = 512
	maxSecrets = 2
)

// Targets are the hosts that may be told. They are safe for concurrent use.
type Targets struct {
	byHost map[string]*Target
}

// NewTargets returns the list, or an error that names the first entry that cannot be.
func NewTargets(all []Target) (*Targets, error) {
	list := &Targets{byHost: map[string]*Target{}}
	for i := range all {
		t := all[i]
		t.Host = strings.TrimSuffix(t.Host, ":443")
		u, err := url.Parse("https://" + t.Host)
		switch {
		case err != nil || u.Host != t.Host || t.Host == "" || t.Host != strings.ToLower(t.Host) || u.Port() == "" && strings.HasSuffix(t.Host, ":"):
			return nil, fmt.Errorf("target %q: a host in small letters is needed, with :port where that is not 443", t.Host)
		case list.byHost[t.Host] != nil:
			return nil, fmt.Errorf("target %s is listed twice", t.Host)
		case len(t.Secrets) == 0 || len(t.Secrets) > maxSecrets:
			return nil, fmt.Errorf("target %s: one secret is needed, or two while it is replaced", t.Host)
		}
		for _, secret := range t.Secrets {
			if len(secret) < MinSecret {
				return nil, fmt.Errorf("target %s: a secret of at least %d bytes is needed", t.Host, MinSecret)
			}
		}
		list.byHost[t.Host] = &t
	}
	return list, nil
}

// Check returns an error that wraps ErrTarget and says why a client may not be
// told at an address, or nil. What the host's name stands for is checked when it is dialled.
func (l *Targets) Check(client, address string) error {
	_, err := l.find(client, address)
	return err
}

func (l *Targets) find(client, address string) (*Target, error) {
	refuse := func(why string) (*Target, error) { return nil, fmt.Errorf("%w: %s", ErrTarget, why) }
	if len(address) > maxURL {
		return refuse("the address is too long")
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Opaque != "" || u.Host == "":
		return refuse("the address is no URL")
	case u.User != nil:
		return refuse("the address names a user")
	case u.Fragment != "" || strings.Contains(address, "#"):
		return refuse("the address has a fragment")
	}
	port := ":443"
	if u.Scheme == "http" {
		port = ":80"
	}
	t := l.byHost[u.Host]
	if t == nil && strings.HasSuffix(u.Host, port) {
		t = l.byHost[strings.TrimSuffix(u.Host, port)]
	}
	switch {
	case t == nil || t.Client != "" && t.Client != client:
		return refuse("its host is not listed for this client")
	case u.Scheme != "https" && (u.Scheme != "http" || !t.Plain):
		return refuse("only https is spoken")
	}
	return t, nil
}

// Times of a connection.
const (
	dialWithin = 5 * time.Second
	idleAfter  = 30 * time.Second
)

// transport dials targets only, whatever a name stands for. It asks no proxy and
// takes no compressed answers.
func (l *Targets) transport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		DialContext:            l.dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    dialWithin,
		MaxResponseHeaderBytes: 16 << 10,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        idleAfter,
	}
}

func (l *Targets) dial(ctx context.Context, network, address string) (net.Conn, error) {
	target := l.byHost[strings.TrimSuffix(address, ":443")]
	if target == nil {
		target = l.byHost[strings.TrimSuffix(address, ":80")]
	}
	if target == nil {
		return nil, fmt.Errorf("%w: its host is not listed", ErrTarget)
	}
	dialer := net.Dialer{Timeout: dialWithin, Control: func(_, resolved string, _ syscall.RawConn) error {
		return permit(resolved, target.Private)
	}}
	return dialer.DialContext(ctx, network, address)
}

// reserved are the ranges that are neither private nor anybody's on the Internet,
// or that carry another address inside (RFC 6890 and its successors).
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("fec0::/10"),
}

// permit says whether an address that a name stands for may be dialled.
func permit(address string, private bool) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return errors.Join(ErrTarget, err)
	}
	ip := at.Addr().WithZone("").Unmap()
	if ip.IsLoopback() || ip.IsPrivate() {
		if private {
			return nil
		}
		return fmt.Errorf("%w: the name stands for a private address", ErrTarget)
	}
	if !ip.IsGlobalUnicast() { // none, many, or of this link only, as where clouds keep their secrets
		return fmt.Errorf("%w: the name stands for no host's address", ErrTarget)
	}
	for _, prefix := range reserved {
		if prefix.Contains(ip) {
			return fmt.Errorf("%w: the name stands for a reserved address", ErrTarget)
		}
	}
	return nil
}
