// Package mail sends plain mails by SMTP: over TLS from the first byte or by STARTTLS, with a password where one is given.
// It keeps nothing and tries once: whoever calls repeats, under the same message ID. It must not know what mails are about.
package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/textproto"
	"strconv"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"
)

// Security is how a connection is kept from being read.
type Security string

// The ways.
const (
	// STARTTLS begins in plain text and is refused where the server does not go over to TLS.
	STARTTLS Security = "starttls"
	// TLS is spoken from the first byte on.
	TLS Security = "tls"
	// Plain is only for a server on the same machine: no password is sent.
	Plain Security = "none"
)

// Config is what a sender is built from. Address and From are needed.
type Config struct {
	Address        string // host:port of the server
	Security       Security
	User, Password string // "" for none
	From           string // the sender's address, which may have a name: "tenu <tenu@operator.example>"
	Hello          string // how the sender names itself to the server; the address's domain when empty
	// Roots sign the server's certificate; nil: the system's do.
	Roots   *x509.CertPool
	Timeout time.Duration // of one mail, from dialling to its end (default 30 s)
}

// Mail is one mail to one mailbox.
type Mail struct {
	To      string
	Subject string
	Text    string
	At      time.Time
	// ID names the mail, the same for every try, and Thread the conversation that it belongs to: both without angle brackets and
	// with a domain. The first mail of a conversation has its thread as its ID.
	ID, Thread string
}

// The bounds of a mail, in bytes.
const (
	maxSubject = 200
	maxText    = 64 << 10
)

// Sender sends. It is safe for concurrent use: each mail has a connection of its own.
type Sender struct {
	cfg     Config
	options []gomail.Option
	domain  string
	host    string
}

// RefusedError says that the server answered, and does not take the mail.
type RefusedError struct{ Code int }

// Error says how.
func (e *RefusedError) Error() string { return fmt.Sprintf("mail: the server answered %d", e.Code) }

// New returns a sender, or an error that says what cannot be.
func New(cfg Config) (*Sender, error) {
	host, port, err := net.SplitHostPort(cfg.Address)
	if err != nil || host == "" {
		return nil, fmt.Errorf("mail: the server %q is not host:port", cfg.Address)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return nil, fmt.Errorf("mail: the server %q is not host:port", cfg.Address)
	}
	from, err := netmail.ParseAddress(cfg.From)
	if err != nil {
		return nil, fmt.Errorf("mail: the sender %q is no address", cfg.From)
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 30 * time.Second
	}
	s := &Sender{cfg: cfg, host: host, domain: from.Address[strings.LastIndexByte(from.Address, '@')+1:]}
	if cfg.Hello == "" {
		s.cfg.Hello = s.domain
	}
	s.options = []gomail.Option{gomail.WithTimeout(cfg.Timeout / phases), gomail.WithHELO(s.cfg.Hello),
		gomail.WithTLSConfig(&tls.Config{ServerName: host, RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12})}
	switch cfg.Security {
	case STARTTLS:
		s.options = append(s.options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case TLS:
		s.options = append(s.options, gomail.WithSSL())
	case Plain:
		if cfg.User != "" {
			return nil, errors.New("mail: no password is sent without TLS")
		}
		s.options = append(s.options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		return nil, fmt.Errorf("mail: security is %s, %s or %s", STARTTLS, TLS, Plain)
	}
	s.options = append(s.options, gomail.WithPort(int(number)))
	if cfg.User != "" {
		s.options = append(s.options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(cfg.User), gomail.WithPassword(cfg.Password))
	}
	if _, err := gomail.NewClient(host, s.options...); err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	return s, nil
}

// Domain is that of the sender's address: names of mails end with it.
func (s *Sender) Domain() string { return s.domain }

// CheckAddress returns an error unless a text is one mailbox's bare address.
func CheckAddress(text string) error {
	at, err := netmail.ParseAddress(text)
	if err != nil || at.Address != text || len(text) > 254 {
		return fmt.Errorf("%q is no mail address", text)
	}
	return nil
}

// Send hands a mail over. Nil says that the server took it; a *RefusedError that it answered and did not. After any other error it
// may have taken it or not.
func (s *Sender) Send(ctx context.Context, m Mail) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	message, err := s.message(&m)
	if err != nil {
		return err
	}
	client, err := gomail.NewClient(s.host, s.options...)
	if err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	sent := make(chan error, 1)
	go func() { sent <- handOver(ctx, client, message) }() // it ends with the connection's deadlines at the latest
	select {
	case err = <-sent:
		return err
	case <-ctx.Done():
		return fmt.Errorf("send a mail: %w", ctx.Err())
	}
}

// handOver is one connection, and one mail.
func handOver(ctx context.Context, client *gomail.Client, message *gomail.Msg) error {
	server, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return refused(err)
	}
	err = client.SendWithSMTPClient(server, message)
	_ = client.CloseWithSMTPClient(server) // the mail is taken or not, whatever the farewell is
	_ = server.Close()
	if err != nil {
		return refused(err)
	}
	return nil
}

// refused tells an answer from everything else.
func refused(err error) error {
	var mail *gomail.SendError
	var answer *textproto.Error
	switch {
	case errors.As(err, &mail) && mail.ErrorCode() >= 400:
		return &RefusedError{mail.ErrorCode()}
	case errors.As(err, &answer) && answer.Code >= 400:
		return &RefusedError{answer.Code}
	}
	return fmt.Errorf("send a mail: %w", err)
}

// phases is in how many parts of the time for a mail a server may fall silent: it is dialled and let in, and takes the mail, and
// the farewell.
const phases = 3

// message writes a mail.
func (s *Sender) message(m *Mail) (*gomail.Msg, error) {
	message := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := message.From(s.cfg.From); err != nil {
		return nil, fmt.Errorf("write a mail: %w", err)
	}
	if err := message.To(m.To); err != nil {
		return nil, fmt.Errorf("write a mail: %w", err)
	}
	for _, name := range []string{m.ID, m.Thread} {
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == '<' || r == '>' || r > unicode.MaxASCII }) {
			return nil, fmt.Errorf("write a mail: %q cannot name one", name)
		}
	}
	subject := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, m.Subject)
	message.SetMessageIDWithValue(m.ID)
	if m.Thread != m.ID {
		message.SetGenHeader(gomail.HeaderInReplyTo, "<"+m.Thread+">")
		message.SetGenHeader(gomail.HeaderReferences, "<"+m.Thread+">")
	}
	message.SetGenHeader("Auto-Submitted", "auto-generated")
	message.SetDateWithValue(m.At)
	message.Subject(cut(subject, maxSubject))
	message.SetBodyString(gomail.TypeTextPlain, cut(m.Text, maxText))
	return message, nil
}

// cut is a text of at most so many bytes, of whole characters.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}
