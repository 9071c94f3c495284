package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"tenu/internal/care"
	"tenu/internal/notify"
	"tenu/internal/notify/smpp"
	"tenu/internal/purchase"
	"tenu/internal/sms"
	"tenu/internal/ussd"
)

// smsConfig is of the centre that messages are handed to: the sandbox's over HTTP,
// or one over SMPP.
type smsConfig struct {
	URL     string     `yaml:"url"`
	Timeout span       `yaml:"timeout"`
	SMPP    smppConfig `yaml:"smpp"`

	inside notify.Centre // one in the process, in the place of both (benchmarks)
}

// smppConfig is of a centre that speaks SMPP 3.4.
type smppConfig struct {
	Name       string   `yaml:"name"` // of the centre, in what is kept of its receipts
	Address    string   `yaml:"address"`
	SystemID   string   `yaml:"system_id"`
	Password   string   `yaml:"password"`
	SystemType string   `yaml:"system_type"`
	TLS        bool     `yaml:"tls"`
	CA         string   `yaml:"ca"` // file of who signed its certificate; the system's when empty
	Pair       bool     `yaml:"pair"`
	Binds      int      `yaml:"binds"`
	Window     int      `yaml:"window"`
	Rate       int      `yaml:"rate"`
	Sender     string   `yaml:"sender"`
	IDs        smpp.IDs `yaml:"ids"`
	Enquire    span     `yaml:"enquire"`
}

// smsCentre hands messages to a centre over SMPP, and keeps what it calls them.
type smsCentre struct {
	name       string
	client     *smpp.Client
	deliveries *notify.Deliveries
	clock      purchase.Clock
	log        *slog.Logger
}

// Send is notify.Centre. The centre's names are durable before it returns.
func (c *smsCentre) Send(ctx context.Context, m notify.Message) error {
	refs, err := c.client.Send(ctx, m)
	if err != nil {
		return err //nolint:wrapcheck // notify's errors are its contract
	}
	known := make([]notify.Delivery, len(refs))
	for i, ref := range refs {
		known[i] = notify.Delivery{Centre: c.name, Ref: ref, Message: m.ID, At: c.clock.Now()}
	}
	if err := c.deliveries.Keep(ctx, known...); err != nil {
		// It is taken all the same; what becomes of it is not known by its name.
		c.log.WarnContext(ctx, "the centre's name of a message is lost", "message", m.ID, "error", err)
	}
	return nil
}

// receipt keeps what the centre says became of a message.
func (c *smsCentre) receipt(ctx context.Context, d notify.Delivery) error {
	d.Centre = c.name
	return c.deliveries.Keep(ctx, d) //nolint:wrapcheck // says what it could not do
}

// centre is where notices are handed over.
func (n *node) centre() (notify.Centre, error) {
	switch {
	case n.cfg.SMS.inside != nil:
		return n.cfg.SMS.inside, nil
	case n.cfg.SMS.SMPP.Address != "":
		return n.smppCentre()
	}
	centre, err := notify.NewSandboxCentre(n.cfg.SMS.URL, &http.Client{Transport: n.sms, Timeout: orElse(n.cfg.SMS.Timeout.Duration, 10*time.Second)})
	if err != nil {
		return nil, usage(n.cfg.file.Errorf("sms.url", "%w", err))
	}
	return centre, nil
}

func (n *node) smppCentre() (notify.Centre, error) {
	cfg := &n.cfg.SMS.SMPP
	password, err := n.cfg.secret(n.app.env, "sms.smpp.password", cfg.Password)
	if err != nil {
		return nil, usage(err)
	}
	var secure *tls.Config
	if cfg.TLS {
		if secure, err = n.smppTLS(cfg); err != nil {
			return nil, err
		}
	}
	c := &smsCentre{name: orElse(cfg.Name, cfg.Address), deliveries: notify.NewDeliveries(n.store), clock: n.app.clock, log: n.log}
	c.client, err = smpp.New(smpp.Config{Address: cfg.Address, SystemID: cfg.SystemID, Password: password, Type: cfg.SystemType, TLS: secure,
		Pair: cfg.Pair, Binds: cfg.Binds, Window: cfg.Window, Rate: cfg.Rate, Sender: cfg.Sender, IDs: cfg.IDs, Enquire: cfg.Enquire.Duration,
		Within: n.cfg.SMS.Timeout.Duration, Clock: n.app.clock, Log: n.log, Inbound: n.inbound, Receipt: c.receipt})
	if err != nil {
		return nil, usage(n.cfg.file.Errorf("sms.smpp", "%w", err))
	}
	n.smpp = c.client
	return c, nil
}

func (n *node) smppTLS(cfg *smppConfig) (*tls.Config, error) {
	host, _, err := net.SplitHostPort(cfg.Address)
	if err != nil {
		return nil, usage(n.cfg.file.Errorf("sms.smpp.address", "%q is not host:port", cfg.Address))
	}
	secure := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if cfg.CA == "" {
		return secure, nil
	}
	text, err := os.ReadFile(n.cfg.path(cfg.CA))
	if err != nil {
		return nil, usage(n.cfg.file.Errorf("sms.smpp.ca", "%w", err))
	}
	if secure.RootCAs = x509.NewCertPool(); !secure.RootCAs.AppendCertsFromPEM(text) {
		return nil, usage(n.cfg.file.Errorf("sms.smpp.ca", "%s holds no certificate", cfg.CA))
	}
	return secure, nil
}

// buildTexts builds what answers customers' texts.
func (n *node) buildTexts(desk *care.Desk) (err error) {
	_, payers := n.parts.catalogue.Labels()
	n.texts, err = sms.New(sms.Config{Brand: orElse(n.cfg.App.Brand, "tenu"), Customers: n.customers, Sales: n.desk, Care: desk, Numbers: n.parts.directory, Payers: payers,
		Location: n.parts.zone, Clock: n.app.clock})
	return err
}

// answerWithin bounds the answer to what a customer wrote.
const answerWithin = 10 * time.Second

// inbound answers what a customer wrote. After an error the centre brings it again:
// what it asked for was then not done, or is not done twice.
func (n *node) inbound(ctx context.Context, in smpp.Inbound) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	number, _, err := n.parts.directory.Parse(in.From)
	if err != nil {
		n.log.WarnContext(ctx, "a text from a number that is none of this country's mobiles is left")
		return nil
	}
	if in.USSD != nil {
		return n.turn(ctx, number, in)
	}
	answer, err := n.texts.Answer(ctx, number, in.Text)
	if err != nil || answer == "" {
		return err
	}
	m := notify.Message{ID: n.answerID(number, in.Text), To: number, Text: answer}
	switch _, err := n.smpp.Send(ctx, m); {
	case errors.Is(err, notify.ErrNotTaken):
		return fmt.Errorf("answer a text: %w", err)
	case err != nil: // it may be there, or never will
		n.log.WarnContext(ctx, "answer to a text", "to", number, "error", err)
	}
	return nil
}

// turn answers a turn of a USSD session. The first byte of its_session_info names the
// session, the second counts its turns, but for a bit that says that it is over (SMPP
// 3.4 section 5.3.2.43).
func (n *node) turn(ctx context.Context, number purchase.MSISDN, in smpp.Inbound) error {
	said := ussd.Said{Number: number, Begins: in.USSD.Op == smpp.USSDBegins, Text: in.Text}
	info := in.USSD.Session
	if len(info) > 0 {
		said.Session = hex.EncodeToString(info[:1])
	}
	if len(info) > 1 {
		said.Mark = hex.EncodeToString(info[1:])
	}
	screen := n.dialogs.Answer(ctx, said)
	answer := smpp.USSD{Op: smpp.USSDAsks, Session: slices.Clone(info)}
	if screen.End {
		answer.Op = smpp.USSDEnds
		if len(info) > 1 {
			answer.Session[1] |= 1
		}
	}
	m := notify.Message{ID: n.answerID(number, in.Text), To: number, Text: screen.Text}
	switch err := n.smpp.Answer(ctx, m, answer); {
	case errors.Is(err, notify.ErrNotTaken):
		return fmt.Errorf("show a screen: %w", err)
	case err != nil: // the customer sees it, or dials again
		n.log.WarnContext(ctx, "screen", "to", number, "error", err)
	}
	return nil
}

// answerID names an answer.
func (n *node) answerID(number purchase.MSISDN, text string) string {
	hash := sha256.Sum256([]byte(number.String() + "|" + strconv.FormatInt(int64(n.app.clock.Now()), 10) + "|" + text))
	return "answer-" + hex.EncodeToString(hash[:8])
}
