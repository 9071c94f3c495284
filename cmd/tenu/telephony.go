package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/google/uuid"

	"tenu/internal/api"
	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/console"
	"tenu/internal/incident"
	"tenu/internal/purchase"
	"tenu/internal/telemetry"
	"tenu/internal/voice/centre"
	"tenu/internal/voice/dial"
	"tenu/internal/voice/line"
	"tenu/internal/voice/media"
	"tenu/internal/voice/pbx"
	"tenu/internal/voice/sound"
	"tenu/internal/voice/speech"
	"tenu/internal/voice/switchboard"
	"tenu/internal/voice/talk"
)

// telephony is a node's line 121, or what a telephone system of the operator's is told in its place. What there is
// not is nil.
type telephony struct {
	codes    *auth.Codes
	queue    *centre.Queue
	calls    *centre.Recorder
	board    *switchboard.Switchboard
	dialler  *dial.Dialler
	lines    *dial.Lines
	system   *pbx.PBX
	media    *media.Streams
	line     *line.Line
	measured *telemetry.Calls
}

// has reports whether calls are known of at all.
func (v *voiceConfig) has() bool { return v.Listen != "" || v.PBX.URL != "" }

// dials reports whether callbacks are dialled.
func (v *voiceConfig) dials() bool { return v.Dial.Trunk != "" || v.PBX.URL != "" }

// buildCentre builds the call centre, and the dialler that keeps what care promises.
func (n *node) buildCentre() error {
	v := &n.cfg.Voice
	if !v.has() {
		return nil
	}
	n.queue = centre.New(centre.Config{Store: n.store, Node: n.cfg.Node + "-" + uuid.NewString(), Clock: n.app.clock, Log: n.log, Hours: n.cfg.Callbacks.hours(n.parts.zone),
		RingFor: v.Agents.RingFor.Duration, WrapFor: v.Agents.WrapFor.Duration, MaxWaiting: v.Agents.Waiting, Changed: n.agentChanged})
	n.calls = centre.NewRecorder(centre.RecorderConfig{Store: n.store, Clock: n.app.clock, Log: n.log,
		Epoch: func() int64 { return n.engine.Stats().Epoch },
		Ended: n.callEnded})
	if !v.dials() {
		return nil
	}
	phones, err := n.phones()
	if err != nil {
		return err
	}
	n.dialler = dial.New(dial.Config{Node: n.cfg.Node, Clock: n.app.clock, Log: n.log, Agents: n.queue, Phones: phones,
		CustomerFirst: v.Dial.First == "customer", Look: n.store.AddLook,
		Staff: func(ctx context.Context, id auth.StaffID) (auth.Staff, error) { return n.staff.Person(ctx, id) }})
	return nil
}

// phones are those that callbacks are dialled with: of the operator's telephone system, or over the line.
func (n *node) phones() (dial.Phones, error) {
	heard := func(e dial.Event) { n.dialler.Heard(e) } // nothing is dialled before there is one
	raw := &n.cfg.Voice.PBX
	if raw.URL == "" {
		n.board = switchboard.New(n.switchboard())
		n.lines = dial.NewLines(n.board, n.app.clock, heard)
		return n.lines, nil
	}
	var secrets [][]byte
	for i, text := range raw.Secrets {
		secret, err := n.cfg.secret(n.app.env, fmt.Sprintf("voice.pbx.secrets[%d]", i), text)
		if err != nil {
			return nil, usage(err)
		}
		secrets = append(secrets, []byte(secret))
	}
	var err error
	n.system, err = pbx.New(pbx.Config{URL: raw.URL, Secrets: secrets, Clock: n.app.clock, Log: n.log, Heard: heard, Agents: n.queue,
		Calls: n.calls, Number: n.dialled})
	if err != nil {
		return nil, usage(n.cfg.file.Errorf("voice.pbx", "%w", err))
	}
	return n.system, nil
}

func (n *node) switchboard() switchboard.Config {
	v := &n.cfg.Voice
	return switchboard.Config{Queue: n.queue, Clock: n.app.clock, RingFor: orElse(v.Agents.RingFor.Duration, 20*time.Second),
		Agents: v.Agents.Trunk, Customers: v.Dial.Trunk}
}

// dials is what lets phones ring for care.
func (n *node) diallerOfCare() care.Dialler {
	if n.dialler == nil {
		return care.ClickToCall{}
	}
	return n.dialler
}

// dialled is a number as telephones write it.
func (n *node) dialled(text string) (purchase.MSISDN, bool) {
	number, _, err := n.parts.directory.Parse(text)
	return number, err == nil
}

// buildLine builds the line itself, once there is all that a caller may hear of.
func (n *node) buildLine(send func(purchase.MSISDN, string, string) error) error {
	v := &n.cfg.Voice
	if n.dialler != nil {
		n.dialler.Join(n.care)
	}
	if v.Listen == "" {
		return nil
	}
	voices, err := speech.Load()
	if err != nil {
		return err
	}
	var own fs.FS
	if v.Recordings != "" {
		own = os.DirFS(n.cfg.path(v.Recordings))
	}
	sounds, err := sound.Load(own)
	if err != nil {
		return usage(n.cfg.file.Errorf("voice.recordings", "%w", err))
	}
	if n.media, err = n.cfg.media(n.app); err != nil {
		return usage(n.cfg.file.Errorf("voice.media", "%w", err))
	}
	if n.board == nil {
		n.board = switchboard.New(n.switchboard())
	}
	talks, err := talk.New(talk.Config{Customers: n.customers, Care: n.care, Incidents: n.store, Serves: n.serves, Codes: n.codes, Send: send,
		Number: n.dialled, Agents: n.board, Hours: n.cfg.Callbacks.hours(n.parts.zone), Voices: voices, Clock: n.app.clock, Log: n.log,
		NewID: uuid.NewString, Record: n.calls.Add, Consent: v.Agents.Consent})
	if err != nil {
		return err
	}
	trunks, err := n.trunks()
	if err != nil {
		return usage(err)
	}
	address, err := netip.ParseAddrPort(v.Listen)
	if err != nil {
		return err // it was checked
	}
	n.line, err = line.New(line.Config{Address: address, Identity: orElse(v.Identity, "121"), Trunks: trunks, Capacity: orElse(v.Capacity, voiceCapacity),
		Overflow: orElse(v.Overflow, voiceOverflow), RetryAfter: orElse(v.RetryAfter.Duration, 10*time.Second), Language: voices.Known(v.Language),
		Media: n.media, Sounds: sounds, Voices: voices, Clock: n.app.clock, Log: n.log, Number: n.dialled, Serve: talks.Serve, Overload: talks.Overload,
		Refused: n.callRefused})
	if err != nil {
		return usage(n.cfg.file.Errorf("voice", "%w", err))
	}
	n.board.Join(n.line)
	return nil
}

// trunks are where calls come from and go to.
func (n *node) trunks() ([]line.Trunk, error) {
	var all []line.Trunk
	for i := range n.cfg.Voice.Trunks {
		raw := &n.cfg.Voice.Trunks[i]
		networks, err := raw.networks()
		if err != nil {
			return nil, err
		}
		password, err := n.cfg.secret(n.app.env, fmt.Sprintf("voice.trunks[%d].password", i), raw.Password)
		if err != nil {
			return nil, err
		}
		all = append(all, line.Trunk{Name: raw.Name, Networks: networks, Asserts: raw.Asserts, Address: raw.Address,
			Transport: orElse(raw.Protocol, "udp"), User: raw.User, Password: password, Register: raw.Register})
	}
	return all, nil
}

// serves are the series of incidents that a number depends on, whatever is bought.
func (n *node) serves(number purchase.MSISDN) []incident.Series {
	operator, err := n.parts.directory.Operator(number)
	if err != nil {
		return nil
	}
	all := []incident.Series{{By: incident.ByOperator, Name: string(operator)}}
	for _, name := range n.parts.catalogue.Providers(operator) {
		all = append(all, incident.Series{By: incident.ByProvider, Name: name})
	}
	return all
}

// agentChanged tells of an agent whoever wants to know at once.
func (n *node) agentChanged(a centre.Agent) {
	n.console.AgentChanged(a)
	if n.dialler != nil && a.State == centre.Ready {
		n.dialler.Wake()
	}
}

// telephones is the telephone line as the console has to do with it, nil where there is none.
func (n *node) telephones() *console.Line {
	if n.queue == nil {
		return nil
	}
	return &console.Line{Agents: n.queue, Record: n.store, Dials: n.cfg.Voice.dials()}
}

// measureCalls adds the line to the node's measures.
func (n *node) measureCalls() {
	if n.queue == nil {
		return
	}
	releases := make([]string, 0, len(centre.Releases))
	for _, r := range centre.Releases {
		releases = append(releases, string(r))
	}
	n.measured = n.metrics.Calls(releases, func() telemetry.Line {
		standing := n.queue.Standing()
		l := telemetry.Line{Waiting: standing.Waiting, Agents: map[string]int{}, Lost: n.calls.Lost()}
		for state, agents := range standing.Agents {
			l.Agents[state.String()] = agents
		}
		if n.line != nil {
			c := n.line.Counts()
			l.SIP = &telemetry.SIP{Open: c.Open, Dialled: c.Dialled, Reached: c.Reached, Forbidden: c.Forbidden, Late: n.media.Late(), Registered: n.line.Registered()}
		}
		return l
	})
}

// callEnded measures and traces a call that is over.
func (n *node) callEnded(c centre.Call) {
	agent := time.Duration(-1)
	if c.Taken != 0 {
		agent = c.Taken.Sub(c.Queued)
	}
	n.measured.Ended(string(c.Release), c.Answered.Sub(c.At), agent)
	n.traceCall(&c)
}

// callRefused counts a call that came when there were too many.
func (n *node) callRefused() {
	n.calls.Refuse(n.app.clock.Now())
	n.measured.Refused()
}

// pbxAnnex is where a telephone system of the operator's tells its events.
func (n *node) pbxAnnex() []api.Annex {
	if n.system == nil {
		return nil
	}
	return []api.Annex{{Prefix: "/pbx/", Routes: []api.AnnexRoute{{Pattern: "POST /pbx/events", Media: []string{"application/json"}, Answer: n.pbxEvents}},
		Refuse: func(w http.ResponseWriter, r api.Refusal) { http.Error(w, r.Detail, r.Status) }}}
}

func (n *node) pbxEvents(w http.ResponseWriter, r *http.Request, _ *auth.Client, body []byte) error {
	r.Body = io.NopCloser(bytes.NewReader(body))
	n.system.ServeHTTP(w, r)
	return nil
}

// runTelephony runs what there is of it: calls until serving ends, and then, until it is written, what became of them. It
// tells failed of a line that cannot go on.
func (n *node) runTelephony(serving context.Context, failed func(error), loops *sync.WaitGroup) {
	if n.queue == nil {
		return
	}
	calling, hangUp := context.WithCancel(context.WithoutCancel(serving))
	noting, noted := context.WithCancel(context.WithoutCancel(serving))
	var calls, notes sync.WaitGroup
	notes.Go(func() { n.queue.Run(noting) })
	notes.Go(func() { n.calls.Run(noting) })
	if n.line != nil {
		notes.Go(func() { n.media.Run(noting) })
		calls.Go(func() {
			if err := n.line.Run(calling); err != nil {
				failed(fmt.Errorf("line 121: %w", err))
			}
		})
	}
	if n.dialler != nil {
		notes.Go(func() {
			n.dialler.Run(noting, n.begins(serving), func(err error) { n.log.Warn("callbacks wait", slog.Any("error", err)) })
		})
	}
	loops.Go(func() {
		<-serving.Done()
		n.endCalls() // before the line, which would end them as if agents had missed them
		hangUp()
		calls.Wait()
		noted()
		notes.Wait()
		n.noteCalls()
	})
}

// begins says whether this node begins callbacks, as long as it serves.
func (n *node) begins(serving context.Context) func(context.Context) (ours, alone bool, err error) {
	return func(ctx context.Context) (ours, alone bool, err error) {
		select {
		case <-serving.Done():
			return false, false, nil
		default:
			return n.standing(ctx)
		}
	}
}

// endCalls lets the telephones of callbacks ring no more. Calls that the operator's telephone system makes go on.
func (n *node) endCalls() {
	if n.lines != nil {
		n.lines.Close()
	}
	if n.system != nil {
		n.system.Close()
	}
}

// noteCalls writes what became of the callbacks that endCalls ended. Those of a telephone system go on, and are no more
// dialled than after a crash.
func (n *node) noteCalls() {
	if n.lines == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), noteWithin)
	defer cancel()
	if err := n.dialler.Close(ctx); err != nil {
		n.log.Warn("what became of callbacks is not written", slog.Any("error", err))
	}
}

// noteWithin is for how long the store is waited for at the end.
const noteWithin = 5 * time.Second
