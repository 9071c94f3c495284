package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"tenu/internal/purchase"
)

// The codes that the command exits with.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // the command line or the configuration is wrong
	exitFenced = 3 // another node took over this one's lease: restart is safe
)

// commands is the command line.
type commands struct {
	Serve     serveCmd     `cmd:"" help:"Serve the API and drive purchases, until told to stop."`
	Demo      demoCmd      `cmd:"" help:"Sell 1 050 F CFA of airtime to partners started beside it, and keep running."`
	Sandbox   sandboxCmd   `cmd:"" help:"Run a wallet, a charging system and an SMS centre to try things against."`
	Buy       buyCmd       `cmd:"" help:"Buy through the API of a running tenu."`
	Show      showCmd      `cmd:"" help:"Show a purchase and its timeline, through the API of a running tenu."`
	Receipt   receiptCmd   `cmd:"" help:"Check receipts, and keep the keys that sign them."`
	Verify    verifyCmd    `cmd:"" help:"Check every invariant on a database; exit 1 on the first that is violated."`
	Migrate   migrateCmd   `cmd:"" help:"Bring a database to this version's tables."`
	Reconcile reconcileCmd `cmd:"" help:"Compare partners' statements with what is on record, and deal with what does not match."`
	Incident  incidentCmd  `cmd:"" help:"Read what failed: whom it affected, and what became of them."`
	Pause     pauseCmd     `cmd:"" help:"Pause sales of what fails, before anybody is charged, and open them again."`
	Report    reportCmd    `cmd:"" help:"Write the report of a month to the regulator, or publish it."`
	Profile   profileCmd   `cmd:"" help:"Compare countries' limits over what happened."`
	Staff     staffCmd     `cmd:"" help:"Keep the accounts of those who work for customers."`
	Person    personCmd    `cmd:"" help:"Tell somebody what is held about their number, or erase it."`
	Seal      sealCmd      `cmd:"" help:"Keep what people wrote unreadable in the database: begin, rotate keys, check."`
	Retention retentionCmd `cmd:"" help:"Let go of what was kept long enough, or count it."`
	Config    configCmd    `cmd:"" help:"Check a configuration, or make an API key."`
	Log       logCmd       `cmd:"" help:"Prove what the log says of a purchase, check proofs, and write the log as files."`
	Audit     auditCmd     `cmd:"" help:"Recompute the log and every figure of it, and compare each row of the database; exit 1 where anything was tampered with."`
	Witness   witnessCmd   `cmd:"" help:"Witness a log: check that it only grows, cosign it, and keep what proves a fork."`
	Bench     benchCmd     `cmd:"" help:"Measure speed and memory, each figure beside a yardstick of the same run."`
	BenchLine benchLineCmd `cmd:"" hidden:"" help:"Be the other process of a benchmark of the line."`
	Sim       simCmd       `cmd:"" help:"Simulate installations under every fault, and check every invariant."`
	Drill     drillCmd     `cmd:"" help:"Play a day on which something fails, such as 9 July 2024, and measure what becomes of every customer."`
	Voice     voiceCmd     `cmd:"" help:"Keep the recordings that line 121 plays."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
}

// app is what every subcommand gets from its caller.
type app struct {
	out, err io.Writer
	env      func(string) string
	clock    steady
	random   io.Reader
}

// salt is that of a new purchase. Without chance it has none, and no receipt.
func (a *app) salt() (s [16]byte) {
	if _, err := io.ReadFull(a.random, s[:]); err != nil {
		return [16]byte{}
	}
	return s
}

// uint64 is 64 bits of chance; without chance it is always the same.
func (a *app) uint64() uint64 {
	var b [8]byte
	_, _ = io.ReadFull(a.random, b[:])
	return binary.BigEndian.Uint64(b[:])
}

// exitError is an error that asks for an exit code of its own.
type exitError struct {
	code int
	error
}

func (e exitError) Unwrap() error { return e.error }

// usage is an error of whoever typed the command or wrote the configuration.
func usage(err error) error { return exitError{exitUsage, err} }

// Run runs the command with its arguments and returns the code to exit with.
// It ends soon after ctx does. env looks up the environment.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer, env func(string) string) int {
	var line commands
	a := &app{out: stdout, err: stderr, env: env, clock: newSteady(), random: rand.Reader}
	asked := -1 // the code that kong asked to exit with, after printing help
	parser, err := kong.New(&line, kong.Name("tenu"), kong.Writers(stdout, stderr),
		kong.Description("Airtime and bundles, kept as promised: confirmed means credited, and what was taken is credited or given back."),
		kong.Exit(func(code int) { asked = max(asked, code) }), kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"scenarios": strings.Join(benchNames(), ", ")},
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(a))
	if err != nil {
		a.complain("%v", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	switch {
	case asked >= 0:
		return asked
	case err != nil:
		a.complain("%v (see tenu --help)", err)
		return exitUsage
	}
	err = parsed.Run()
	if err == nil {
		return exitDone
	}
	a.complain("%v", err)
	var own exitError
	switch {
	case errors.As(err, &own):
		return own.code
	case errors.Is(err, purchase.ErrFenced):
		return exitFenced
	}
	return exitFailed
}

// terminal reports whether w is one that a person looks at.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// paint marks text for a terminal; elsewhere, and where NO_COLOR is set, it
// leaves the text alone.
type paint bool

func (a *app) paint() paint { return paint(terminal(a.out) && a.env("NO_COLOR") == "") }

func (p paint) code(code, text string) string {
	if !p {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p paint) bold(text string) string  { return p.code("1", text) }
func (p paint) faint(text string) string { return p.code("2", text) }
func (p paint) good(text string) string  { return p.code("32", text) }
func (p paint) bad(text string) string   { return p.code("31", text) }
func (p paint) busy(text string) string  { return p.code("33", text) }

// json writes a document for machines.
func (a *app) json(v any) error {
	e := json.NewEncoder(a.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// complain says what went wrong.
func (a *app) complain(format string, args ...any) {
	_, _ = fmt.Fprintf(a.err, "tenu: "+format+"\n", args...)
}

// printf writes for people. A reader that left is no reason to stop.
func (a *app) printf(format string, args ...any) { _, _ = fmt.Fprintf(a.out, format, args...) }
