package console

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
	"tenu/internal/voice/centre"
)

type casePage struct {
	frame
	File      fileLine
	Number    purchase.MSISDN
	Status    care.Status
	Matters   []string
	Sentence  string
	View      *brief
	AnswerBy  string
	ResolveBy string
	Paused    bool
	Outcome   string // that the ledger shows now, "" for none
	Closed    string
	Prefer    int
	Timeline  []line
	Kinds     []filter
	Requests  []requestLine
	Files     []fileOf
	Macros    []care.Macro
	People    []choice
	Others    []fileLine // of the customer, to be merged into
	Text      string     // that was typed and not taken
	Lookers   []string   // who else looks
}

type fileOf struct {
	ID                     int64
	Name, Type, Size, When string
}

// caseOf is the case that the address names.
func (v *visit) caseOf() (care.Case, bool) {
	id, err := v.cfg.Care.ParseCase(v.r.PathValue("case"))
	if err != nil {
		v.missing()
		return care.Case{}, false
	}
	c, err := v.cfg.Care.Case(v.r.Context(), id)
	if err != nil {
		v.fail(err)
		return care.Case{}, false
	}
	return c, v.admit(c.Number)
}

func (c *Console) file(v *visit) {
	if x, ok := v.caseOf(); ok {
		v.showFile(http.StatusOK, &x, "", "")
	}
}

// showFile shows a case; what was typed and not taken stays.
func (v *visit) showFile(status int, c *care.Case, wrong, typed string) {
	ctx := v.r.Context()
	names, err := v.names()
	if err != nil {
		v.fail(err)
		return
	}
	p := &casePage{frame: v.frame("queue"), File: v.fileLine(c, names), Number: c.Number, Status: c.Status, Prefer: int(c.Prefer), Text: typed,
		Closed: v.moment(c.ClosedAt), Paused: c.Clock.PausedAt != 0}
	p.Problem, p.Live = wrong, "case/"+p.File.Reference
	p.inTheirs(v, c.Language)
	clock := c.Clock.At(v.Now)
	p.ResolveBy = v.Time(clock.ResolveBy)
	if c.AnsweredAt == 0 {
		p.AnswerBy = v.Time(clock.AnswerBy)
	}
	for _, m := range c.Matters {
		p.Matters = append(p.Matters, v.matter(m))
	}
	for id, name := range names {
		p.People = append(p.People, choice{strconv.FormatInt(int64(id), 10), name})
	}
	sortChoices(p.People)
	t := &timeline{visit: v, names: names}
	if seen, err := strconv.ParseInt(v.form("seen"), 10, 64); err == nil && status == http.StatusConflict {
		t.seen = purchase.Instant(seen)
	}
	if err := errors.Join(v.noted(c.Number, c.Purchase, c.ID), p.about(v, c, t), t.file(ctx, c), p.beside(v, c, names),
		t.onLine(ctx, func(x *centre.Call) bool { return x.Case == c.ID }, c.Number)); err != nil {
		v.fail(err)
		return
	}
	if err := t.deliveries(ctx, nil); err != nil {
		v.fail(err)
		return
	}
	p.Timeline, p.Kinds = t.lines(v.query("show"))
	p.Lookers = v.hub.others(p.Live, v.who.ID)
	v.show(status, "case", p)
}

// about is the case's purchase.
func (p *casePage) about(v *visit, c *care.Case, t *timeline) error {
	if c.Purchase == 0 {
		p.Outcome = care.OutcomeAnswered.String()
		return nil
	}
	records, err := v.cfg.Purchases.Load(v.r.Context(), c.Purchase)
	if err != nil || len(records) == 0 {
		return err
	}
	x := &records[0].Purchase
	b := v.brief(x, c.Number)
	p.View, p.Sentence = &b, v.sentence(x)
	if x.Held == 0 {
		p.Outcome = map[purchase.State]string{purchase.Credited: care.OutcomeCredited.String(), purchase.Refunded: care.OutcomeRefunded.String(),
			purchase.Declined: care.OutcomeNothingTaken.String()}[x.State]
	}
	requests, err := v.cfg.Care.Requests(v.r.Context(), c.Purchase)
	for i := range requests {
		p.Requests = append(p.Requests, v.requestLine(&requests[i], t.names))
	}
	t.requests(requests)
	return err
}

// beside is what stands beside the history.
func (p *casePage) beside(v *visit, c *care.Case, names map[auth.StaffID]string) error {
	ctx := v.r.Context()
	files, err := v.cfg.Store.Attachments(ctx, c.ID)
	if err != nil {
		return err
	}
	for _, f := range files {
		p.Files = append(p.Files, fileOf{f.ID, v.legible(f.Name), f.Type, fmt.Sprintf("%d KB", (f.Size+1023)/1024), v.moment(f.At)})
	}
	macros, err := v.cfg.Store.Macros(ctx)
	if err != nil {
		return err
	}
	for _, m := range macros {
		if m.Language == c.Language {
			p.Macros = append(p.Macros, m)
		}
	}
	others, err := v.cfg.Care.CasesOf(ctx, c.Number, 20)
	for i := range others {
		if others[i].ID != c.ID && !others[i].Status.Closed() {
			p.Others = append(p.Others, v.fileLine(&others[i], names))
		}
	}
	return err
}

// act does a deed to a case. Who comes second sees what changed, and what they typed.
func (c *Console) act(v *visit) {
	x, ok := v.caseOf()
	if !ok {
		return
	}
	version, err := strconv.ParseInt(v.form("version"), 10, 64)
	if err != nil {
		version = 0
	}
	deed := care.Deed{Do: care.Event(v.form("do")), Text: v.form("text"), Incident: v.form("incident")}
	if n, err := strconv.Atoi(v.form("prefer")); err == nil && n >= 0 && n <= 2 {
		deed.Prefer = care.Preference(n)
	}
	if id, err := strconv.ParseInt(v.form("staff"), 10, 64); err == nil {
		deed.Staff = auth.StaffID(id)
	}
	for _, o := range []care.Outcome{care.OutcomeCredited, care.OutcomeRefunded, care.OutcomeNothingTaken, care.OutcomeAnswered} {
		if v.form("outcome") == o.String() {
			deed.Outcome = o
		}
	}
	now, err := c.cfg.Care.Act(v.r.Context(), x.ID, version, care.Actor{Kind: care.ByStaff, Staff: v.who.ID}, deed)
	var refusal *care.Refusal
	switch {
	case err == nil:
		v.see("/cases/" + c.cfg.Care.CaseReference(x.ID) + "?done=saved")
	case errors.Is(err, care.ErrStale):
		if now.ID == 0 {
			now = x
		}
		v.showFile(http.StatusConflict, &now, v.Say("changed"), deed.Text)
	case errors.As(err, &refusal):
		v.showFile(http.StatusUnprocessableEntity, &x, v.why(refusal.Why, refusal.At), deed.Text)
	case errors.Is(err, care.ErrClosed):
		v.showFile(http.StatusConflict, &x, v.Say("closed"), deed.Text)
	case errors.Is(err, care.ErrUnproven):
		v.showFile(http.StatusConflict, &x, v.Say("unproven"), deed.Text)
	default:
		v.fail(err)
	}
}

// merge puts a case into another of the same customer.
func (c *Console) merge(v *visit) {
	x, ok := v.caseOf()
	if !ok {
		return
	}
	id, err := c.cfg.Care.ParseCase(v.form("into"))
	if err != nil {
		v.missing()
		return
	}
	into, err := c.cfg.Care.Case(v.r.Context(), id)
	if err != nil {
		v.fail(err)
		return
	}
	if _, err = c.cfg.Care.Merge(v.r.Context(), x, into, care.Actor{Kind: care.ByStaff, Staff: v.who.ID}); err != nil {
		v.fail(err)
		return
	}
	v.see("/cases/" + c.cfg.Care.CaseReference(id) + "?done=merged")
}

// attach takes a file of a case.
func (c *Console) attach(v *visit) {
	x, ok := v.caseOf()
	if !ok {
		return
	}
	upload, header, err := v.r.FormFile("file")
	if err != nil {
		v.problem(http.StatusUnprocessableEntity, "file_needed")
		return
	}
	defer upload.Close()
	data, err := io.ReadAll(io.LimitReader(upload, care.MaxAttachment+1))
	if err != nil {
		v.problem(http.StatusUnprocessableEntity, "file_needed")
		return
	}
	_, err = c.cfg.Care.Attach(v.r.Context(), x.ID, care.Actor{Kind: care.ByStaff, Staff: v.who.ID}, header.Filename, data)
	if errors.Is(err, care.ErrFull) {
		v.problem(http.StatusUnprocessableEntity, "why_files")
		return
	}
	if err != nil {
		v.fail(err)
		return
	}
	v.see("/cases/" + c.cfg.Care.CaseReference(x.ID) + "?done=attached")
}

// attachment gives a file back, as something to keep and not to run.
func (c *Console) attachment(v *visit) {
	x, ok := v.caseOf()
	if !ok {
		return
	}
	id, err := strconv.ParseInt(v.r.PathValue("file"), 10, 64)
	if err != nil {
		v.missing()
		return
	}
	a, err := c.cfg.Store.Attachment(v.r.Context(), x.ID, id)
	if err != nil {
		v.fail(err)
		return
	}
	h := v.w.Header()
	h.Set("Content-Type", a.Type)
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": a.Name}))
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("Cache-Control", "no-store")
	_, _ = v.w.Write(a.Data) // a browser that left needs no answer
}
