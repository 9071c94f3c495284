package console

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
	"tenu/internal/voice/centre"
)

// Line is the telephone line as the console has to do with it.
type Line struct {
	Agents Agents
	Record Record
	// Dials: the line calls customers back by itself, and no agent does by a click.
	Dials bool
}

// Agents are those who answer the line; *centre.Queue leads them.
type Agents interface {
	// Sign lets one of the staff take calls at a telephone: centre.ErrExtension, centre.ErrBusy.
	Sign(ctx context.Context, staff auth.StaffID, extension string) error
	// Pause lets one of the staff take no calls, and leaves the telephone to others: centre.ErrBusy.
	Pause(ctx context.Context, staff auth.StaffID) error
	// Done ends what one of the staff writes down after a call.
	Done(ctx context.Context, staff auth.StaffID) error
	// Standing tells who waits on this node.
	Standing() centre.Standing
}

// Record reads agents and calls; *store.Store does.
type Record interface {
	OnDuty(ctx context.Context, since purchase.Instant) ([]centre.Agent, error)
	Agent(ctx context.Context, staff auth.StaffID) (centre.Agent, error)
	CallsOf(ctx context.Context, number purchase.MSISDN, limit int) ([]centre.Call, error)
	CallFigures(ctx context.Context, from, till purchase.Instant) (centre.Figures, error)
}

// agentLooks say the shape and the colour of each state.
var agentLooks = map[centre.State]badge{centre.Away: {"", "cross", ""}, centre.Ready: {"", "check", "good"}, centre.Ringing: {"", "bell", "wait"},
	centre.Talking: {"", "phone", "case"}, centre.Wrapping: {"", "clock", "back"}}

func (v *visit) agentBadge(a *centre.Agent) badge {
	b := agentLooks[a.State]
	b.Word = v.Say("agent_" + a.State.String())
	if a.Extension == "" {
		b.Word = v.Say("agent_none")
	}
	return b
}

// telephone is an agent's own, as each of their pages shows it.
type telephone struct {
	State            badge
	Extension, Since string
	Version          int64
	Away, Wrapping   bool
	Left             int // seconds until wrapping ends by itself
	Call             *atHand
	Wrong            string // why what was asked for was not done
}

// atHand is the call at hand.
type atHand struct {
	ID, Number, Raw, Purchase, Case string
	Back                            bool // a callback
	Own                             bool // the agent's own number, which they may not look at
	Pops                            bool // the agent speaks: the customer's page opens by itself
}

// telephone shows on a page whoever may call their telephone. A page is shown all the same when that cannot be read.
func (f *frame) telephone(v *visit) {
	if v.cfg.Line == nil || v.who.ID == 0 || v.who.Duty != auth.NoDuty || !v.may(auth.MakeCall) {
		return
	}
	a, err := v.cfg.Line.Record.Agent(v.r.Context(), v.who.ID)
	if err != nil {
		v.cfg.Log.Debug("a page does not see the telephone", "error", err)
		return
	}
	t := &telephone{State: v.agentBadge(&a), Extension: a.Extension, Version: a.Version, Away: a.State == centre.Away,
		Wrapping: a.State == centre.Wrapping}
	if a.Extension != "" {
		t.Since = v.moment(a.Since)
	}
	if t.Wrapping {
		t.Left = max(int((a.Till.Sub(v.Now)+time.Second-1)/time.Second), 0)
	}
	if a.Call != "" {
		t.Call = v.atHand(&a)
	}
	f.Telephone = t
}

func (v *visit) atHand(a *centre.Agent) *atHand {
	c := &atHand{ID: a.Call, Back: a.Callback != 0, Own: v.who.Owns(a.Number), Pops: a.State == centre.Talking}
	if a.Number != 0 {
		c.Number, c.Raw = v.phone(a.Number), a.Number.String()
	}
	if a.Purchase != 0 {
		c.Purchase = v.cfg.References.Reference(a.Purchase).String()
	}
	if a.Case != 0 {
		c.Case = v.cfg.Care.CaseReference(a.Case)
	}
	return c
}

// telephone is the part of a page that shows the agent's telephone.
func (c *Console) telephone(v *visit) { v.write(http.StatusOK, "message", "telephone", v.frame("")) }

// lineReason is why the customer on the line is looked at.
const lineReason = "call: 121"

// atTelephone does what an agent does at the telephone.
func (c *Console) atTelephone(v *visit) {
	if c.cfg.Line == nil {
		v.missing()
		return
	}
	ctx, agents := v.r.Context(), c.cfg.Line.Agents
	var err error
	switch v.form("do") {
	case "sign":
		err = agents.Sign(ctx, v.who.ID, v.form("extension"))
	case "pause":
		err = agents.Pause(ctx, v.who.ID)
	case "done":
		err = agents.Done(ctx, v.who.ID)
	default:
		v.missing()
		return
	}
	v.moved(err)
}

// moved answers whoever did something at their telephone: the part of a page that asked for that part, else the page they were on.
func (v *visit) moved(err error) {
	why := ""
	switch {
	case errors.Is(err, centre.ErrExtension):
		why = "telephone_wrong"
	case errors.Is(err, centre.ErrBusy), errors.Is(err, centre.ErrStale):
		why = "telephone_changed"
	case err != nil:
		v.fail(err)
		return
	}
	switch {
	case v.r.Header.Get("HX-Request") != "":
		f := v.frame("")
		if f.Telephone != nil && why != "" {
			f.Telephone.Wrong = v.Say(why)
		}
		v.write(http.StatusOK, "message", "telephone", f)
	case why != "":
		v.problem(http.StatusConflict, why)
	default:
		v.see(v.Self())
	}
}

// calling reports whether a number is on the line with whoever looks, or was until now, and takes that down as the reason
// for the look (invariant C5).
func (v *visit) calling(number purchase.MSISDN) (bool, error) {
	if v.cfg.Line == nil || !v.may(auth.MakeCall) {
		return false, nil
	}
	a, err := v.cfg.Line.Record.Agent(v.r.Context(), v.who.ID)
	if err != nil || a.Number != number {
		return false, err
	}
	return true, v.cfg.Store.AddLook(v.r.Context(), care.Look{At: v.Now, Staff: v.who.ID, Number: number, Reason: lineReason})
}

// leaves takes whoever signs out from their telephone. A call at hand goes on; nothing else hinders them to go.
func (c *Console) leaves(v *visit) {
	if c.cfg.Line == nil || !v.may(auth.MakeCall) {
		return
	}
	if err := c.cfg.Line.Agents.Pause(v.r.Context(), v.who.ID); err != nil {
		c.cfg.Log.Warn("who signed out stays at the telephone", "error", err)
	}
}

// AgentChanged tells the agent's browsers, and whoever looks at the board, that an agent changed. It never waits.
func (c *Console) AgentChanged(a centre.Agent) { c.hub.agent(&a) }

// agent tells of an agent who changed, each version once.
func (h *hub) agent(a *centre.Agent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	was := h.agents[a.Staff]
	if a.Version <= was.Version {
		return
	}
	h.agents[a.Staff] = *a
	for s := range h.streams {
		if s.staff == a.Staff {
			s.rings(a.Version)
		}
		if s.what == "board" && (a.State != was.State || a.Since != was.Since || a.Extension != was.Extension) {
			s.change()
		}
	}
}

// rings notes that the telephone of who looks changed. The hub is locked.
func (s *stream) rings(version int64) {
	if version <= s.telephone {
		return
	}
	s.telephone = version
	select {
	case s.ring <- struct{}{}:
	default:
	}
}

// catchUp tells a stream what its page does not show yet of the telephone.
func (v *visit) catchUp(s *stream) {
	if v.cfg.Line == nil || !v.may(auth.MakeCall) {
		return
	}
	a, err := v.cfg.Line.Record.Agent(v.r.Context(), v.who.ID)
	if err != nil {
		v.cfg.Log.Debug("a stream does not see the telephone", "error", err)
		return
	}
	shown, err := strconv.ParseInt(v.query("telephone"), 10, 64)
	if err != nil {
		shown = 0 // a page that shows none misses nothing
	}
	v.hub.mu.Lock()
	defer v.hub.mu.Unlock()
	s.telephone = max(s.telephone, shown)
	s.rings(a.Version)
}

// glanceAgents reads what other nodes' calls do to agents, and notices who waits here.
func (h *hub) glanceAgents(ctx context.Context, g *glimpse) error {
	line := h.c.cfg.Line
	if line == nil {
		return nil
	}
	if waiting := line.Agents.Standing().Waiting; waiting != g.waiting {
		g.waiting = waiting
		h.mu.Lock()
		for s := range h.streams {
			if s.what == "board" {
				s.change()
			}
		}
		h.mu.Unlock()
	}
	if h.c.cfg.Alone() {
		return nil
	}
	agents, err := line.Record.OnDuty(ctx, g.since.Add(-glanceBack))
	for i := range agents {
		h.agent(&agents[i])
	}
	return err
}
