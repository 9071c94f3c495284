package mail

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"
)

// box is a mail server that keeps what it takes.
type box struct {
	mu      sync.Mutex
	mails   []taken
	refuses error  // of each recipient
	silent  func() // what it does instead of reading a mail
}

type taken struct {
	user, from string
	to         []string
	tls        bool
	raw        []byte
}

type session struct {
	*box
	conn *smtp.Conn
	taken
}

func (b *box) NewSession(c *smtp.Conn) (smtp.Session, error) {
	_, secure := c.TLSConnectionState()
	return &session{box: b, conn: c, taken: taken{tls: secure}}, nil
}

func (*session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "tenu" || password != "right" {
			return smtp.ErrAuthFailed
		}
		s.user = user
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	_, s.tls = s.conn.TLSConnectionState()
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refuses
}

func (s *session) Data(r io.Reader) (err error) {
	if s.silent != nil {
		s.silent()
		return io.ErrUnexpectedEOF
	}
	if s.raw, err = io.ReadAll(r); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, s.taken)
	return nil
}

func (*session) Reset()        {}
func (*session) Logout() error { return nil }

// serve runs a real server on the loopback, and returns its address and who signs its certificate.
func serve(t *testing.T, b *box, security Security) (address string, roots *x509.CertPool) {
	t.Helper()
	web := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate, of 127.0.0.1
	certificate := web.TLS.Certificates[0]
	roots = x509.NewCertPool()
	roots.AddCert(web.Certificate())
	web.Close()
	server := smtp.NewServer(b)
	server.Domain = "mx.example"
	server.MaxMessageBytes = 1 << 20
	server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	if security != Plain {
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = listener.Addr().String()
	if security == TLS {
		listener = tls.NewListener(listener, server.TLSConfig)
	}
	over := make(chan struct{})
	go func() { defer close(over); _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); <-over })
	return address, roots
}

var letter = Mail{To: "noc@operator.example", Subject: "tenu I-12 : crédit\r\nBcc: evil@example", Text: "Depuis 13:45, l'achat…\n.\nFin.\n",
	At: time.Unix(1_800_000_000, 0).UTC(), ID: "I-12.4001@tenu.example", Thread: "I-12@tenu.example"}

func sender(t *testing.T, cfg Config) *Sender {
	t.Helper()
	cfg.From = "tenu <tenu@tenu.example>"
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A mail arrives whole over TLS of both kinds, with a password, under its name and in its thread.
func TestSend(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	for _, security := range []Security{STARTTLS, TLS, Plain} {
		t.Run(string(security), func(t *testing.T) {
			b := &box{}
			address, roots := serve(t, b, security)
			cfg := Config{Address: address, Security: security, Roots: roots, User: "tenu", Password: "right"}
			if security == Plain {
				cfg.User, cfg.Password = "", ""
			}
			s := sender(t, cfg)
			if err := s.Send(t.Context(), letter); err != nil {
				t.Fatal(err)
			}
			first := letter
			first.ID = first.Thread
			if err := s.Send(t.Context(), first); err != nil {
				t.Fatal(err)
			}
			if len(b.mails) != 2 {
				t.Fatalf("%d mails", len(b.mails))
			}
			got := b.mails[0]
			if got.user != cfg.User || got.from != "tenu@tenu.example" || len(got.to) != 1 || got.to[0] != letter.To || got.tls != (security != Plain) {
				t.Errorf("envelope %+v", got)
			}
			m, err := netmail.ReadMessage(bytes.NewReader(got.raw))
			if err != nil {
				t.Fatal(err)
			}
			subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
			if err != nil || subject != "tenu I-12 : crédit  Bcc: evil@example" || m.Header.Get("Bcc") != "" {
				t.Errorf("subject %q, %v, header %v", subject, err, m.Header)
			}
			if m.Header.Get("Message-Id") != "<I-12.4001@tenu.example>" || m.Header.Get("References") != "<I-12@tenu.example>" || m.Header.Get("In-Reply-To") != "<I-12@tenu.example>" ||
				m.Header.Get("Auto-Submitted") != "auto-generated" {
				t.Errorf("header %v", m.Header)
			}
			if at, err := m.Header.Date(); err != nil || !at.Equal(letter.At) {
				t.Errorf("date %s, %v", at, err)
			}
			text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
			if err != nil || strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n")) != strings.TrimSpace(letter.Text) {
				t.Errorf("text %q, %v", text, err)
			}
			if m, err = netmail.ReadMessage(bytes.NewReader(b.mails[1].raw)); err != nil || m.Header.Get("Message-Id") != "<I-12@tenu.example>" || m.Header.Get("References") != "" {
				t.Errorf("the first of a thread %v, %v", m.Header, err)
			}
		})
	}
}

// What the server says no to is told by its code; what is not encrypted, or is somebody else's server, gets no mail and no password.
func TestNotSent(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	b := &box{}
	address, roots := serve(t, b, STARTTLS)
	plain, _ := serve(t, b, Plain)
	closed, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	for name, c := range map[string]struct {
		cfg     Config
		refuses error
		code    int // 0: it is no answer
	}{
		"wrong password": {Config{Address: address, Security: STARTTLS, Roots: roots, User: "tenu", Password: "wrong"}, nil, 535},
		"no such box":    {Config{Address: address, Security: STARTTLS, Roots: roots}, &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "who is that"}, 550},
		"come back":      {Config{Address: address, Security: STARTTLS, Roots: roots}, &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "later"}, 451},
		"no STARTTLS":    {Config{Address: plain, Security: STARTTLS, Roots: roots}, nil, 0},
		"other signer":   {Config{Address: address, Security: STARTTLS, Roots: x509.NewCertPool()}, nil, 0},
		"not TLS":        {Config{Address: plain, Security: TLS, Roots: roots}, nil, 0},
		"nobody":         {Config{Address: closed.Addr().String(), Security: Plain}, nil, 0},
	} {
		b.mu.Lock()
		b.refuses = c.refuses
		b.mu.Unlock()
		err := sender(t, c.cfg).Send(t.Context(), letter)
		var answered *RefusedError
		if err == nil || errors.As(err, &answered) != (c.code != 0) || c.code != 0 && answered.Code != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(b.mails) != 0 {
		t.Errorf("%d mails arrived", len(b.mails))
	}
}

// A server that falls silent holds nobody for longer than ctx.
func TestSilentServer(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	ctx, cancel := context.WithCancel(t.Context())
	hours := make(chan struct{})
	b := &box{silent: func() { cancel(); <-hours }}
	address, _ := serve(t, b, Plain)
	err := sender(t, Config{Address: address, Security: Plain, Timeout: time.Hour}).Send(ctx, letter)
	close(hours)
	var answered *RefusedError
	if err == nil || errors.As(err, &answered) {
		t.Errorf("it was sent, or answered: %v", err)
	}
}

// What cannot be is refused before anything is sent.
func TestNewRefuses(t *testing.T) {
	good := Config{Address: "mx.example:587", Security: STARTTLS, From: "tenu@tenu.example"}
	if s, err := New(good); err != nil || s.Domain() != "tenu.example" {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"no port": func(c *Config) { c.Address = "mx.example" }, "port": func(c *Config) { c.Address = "mx.example:0" }, "no host": func(c *Config) { c.Address = ":25" },
		"sender": func(c *Config) { c.From = "tenu" }, "security": func(c *Config) { c.Security = "ssl" },
		"password in plain text": func(c *Config) { c.Security, c.User = Plain, "tenu" },
	} {
		bad := good
		change(&bad)
		if _, err := New(bad); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	s := sender(t, good)
	for _, bad := range []Mail{{To: "x", ID: "a@b", Thread: "a@b"}, {To: "x@y", ID: "a b", Thread: "a@b"}, {To: "x@y", ID: "a@b", Thread: "a>\r\n"}, {To: "x@y", ID: "a@b"}} {
		if _, err := s.message(&bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	for text, ok := range map[string]bool{"noc@operator.example": true, "noc": false, "N <noc@x.example>": false, "a@b, c@d": false, "a@b\r\nc": false} {
		if err := CheckAddress(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}
