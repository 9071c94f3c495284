package tmf

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
)

// maxName bounds a client's own name of a ticket, in characters.
const maxName = 128

// channels are those that a ticket may say it came over.
var channels = []string{"api", "app", "ussd", "sms", "console"}

// create opens a case, or finds the one that the client calls so.
func (t *TMF) create(w http.ResponseWriter, r *http.Request, client *auth.Client, body []byte) error {
	var b createBody
	if err := read(body, &b); err != nil {
		return failed(w, err)
	}
	c, err := t.open(r.Context(), client, &b)
	if err != nil {
		return failed(w, err)
	}
	return t.show(w, r, client, http.StatusCreated, &c, nil)
}

func (b *createBody) check() error {
	for _, each := range []struct {
		name, text string
		most       int
		needed     bool
	}{{"description", b.Description, care.MaxDetail, true}, {"severity", b.Severity, maxName, true}, {"ticketType", b.TicketType, maxName, true},
		{"externalId", b.ExternalID, maxName, false}, {"priority", b.Priority, maxName, false}} {
		if err := bounded(each.name, each.text, each.most, each.needed); err != nil {
			return err
		}
	}
	if !slices.Contains(care.Matters, purchase.Matter(b.TicketType)) {
		return invalid("ticketType: known are " + names(care.Matters))
	}
	if !slices.Contains(severities, b.Severity) {
		return invalid("severity: known are " + strings.Join(severities, ", "))
	}
	if b.Status != "" && b.Status != statuses[care.PhaseFresh] {
		return invalid("status: a new ticket is acknowledged")
	}
	if b.Channel != nil && !slices.Contains(channels, b.Channel.ID) {
		return invalid("channel.id: known are " + strings.Join(channels, ", "))
	}
	if len(b.RelatedEntity) > 1 || len(b.RelatedEntity) == 1 && b.RelatedEntity[0].ReferredType != typePurchase {
		return invalid("relatedEntity: one purchase at most, with the @referredType " + typePurchase)
	}
	if len(b.RelatedParty) > 1 || len(b.RelatedParty) == 1 && b.RelatedParty[0].ReferredType != typeCustomer {
		return invalid("relatedParty: one customer at most, with the @referredType " + typeCustomer)
	}
	if len(b.RelatedEntity)+len(b.RelatedParty) == 0 {
		return invalid("relatedEntity or relatedParty is needed")
	}
	return nil
}

// open opens the case of a body.
func (t *TMF) open(ctx context.Context, client *auth.Client, b *createBody) (care.Case, error) {
	if err := b.check(); err != nil {
		return care.Case{}, err
	}
	wish, err := t.wish(ctx, client, b)
	if err != nil {
		return care.Case{}, err
	}
	gate := &t.opening[uint64(max(wish.Number, 0))%uint64(len(t.opening))]
	gate.Lock()
	defer gate.Unlock()
	if b.ExternalID != "" {
		switch known, err := t.cfg.Store.Called(ctx, client.Name, b.ExternalID); {
		case err == nil:
			return t.same(ctx, client, known, &wish)
		case !isNoCase(err):
			return care.Case{}, err
		}
	}
	// Should the process end here, the same request finds the same case: a purchase,
	// or a number's matter, has one.
	c, _, err := t.cfg.Desk.Open(ctx, care.Actor{Kind: care.ByClient, Name: client.Name}, wish)
	if err != nil {
		return care.Case{}, err
	}
	kept, _, err := t.cfg.Store.PutExternal(ctx, care.External{Client: client.Name, ID: b.ExternalID, Case: c.ID, At: t.cfg.Clock.Now()})
	if err != nil || kept.Case == c.ID {
		return c, err
	}
	// The same name was given at the same moment at another node: one of the two cases is
	// not needed.
	if c.Version == 1 {
		if _, err := t.cfg.Desk.Act(ctx, c.ID, c.Version, care.Actor{Kind: care.ByClient, Name: client.Name}, care.Deed{Do: care.EventWithdrawn}); err != nil {
			return c, err
		}
	}
	return t.same(ctx, client, kept, &wish)
}

// same is the case that a client calls so already, if it is about what is wished.
func (t *TMF) same(ctx context.Context, client *auth.Client, e care.External, wish *care.NewCase) (care.Case, error) {
	c, err := t.seen(ctx, client, e.Case)
	if err != nil {
		return care.Case{}, err
	}
	if c.Purchase != wish.Purchase || wish.Purchase == 0 && c.Number != wish.Number || !c.Has(wish.Matter) {
		return care.Case{}, refuse(http.StatusConflict, CodeName, "The externalId is another ticket's", "that ticket is about something else")
	}
	return c, nil
}

// wish is what the body says is wrong, with whom and with which purchase.
func (t *TMF) wish(ctx context.Context, client *auth.Client, b *createBody) (care.NewCase, error) {
	n := care.NewCase{Matter: purchase.Matter(b.TicketType), Detail: b.Description, Channel: "api", Language: "fr", Own: scope(client) != ""}
	if b.Channel != nil {
		n.Channel = b.Channel.ID
	}
	if len(b.RelatedParty) == 1 {
		number, err := t.cfg.Number(b.RelatedParty[0].ID)
		if err != nil {
			return n, invalid("relatedParty.id is no telephone number")
		}
		n.Number = number
	}
	if len(b.RelatedEntity) == 0 {
		return n, nil
	}
	unknown := refuse(http.StatusBadRequest, CodeEntity, "There is no such purchase", "relatedEntity.id must be the reference of a purchase that this client sold")
	id, err := t.cfg.References.Parse(b.RelatedEntity[0].ID)
	if err != nil {
		return n, unknown
	}
	records, err := t.cfg.Store.Load(ctx, id)
	if err != nil {
		return n, err
	}
	if len(records) == 0 || records[0].Purchase.Client != client.Name && !client.May(auth.CasesAll) {
		return n, unknown
	}
	p := &records[0].Purchase
	if n.Number == 0 {
		n.Number = p.PayerNumber
	}
	if n.Number != p.PayerNumber && n.Number != p.Recipient {
		return n, invalid("relatedParty.id neither paid nor received")
	}
	n.Purchase, n.Language = id, p.Language
	return n, nil
}

// patch changes one thing of a ticket: its status, its name, or a note more. More
// than one in one request could be half done, and is refused.
func (t *TMF) patch(w http.ResponseWriter, r *http.Request, client *auth.Client, body []byte) error {
	var b patchBody
	if err := read(body, &b); err != nil {
		return failed(w, err)
	}
	note, err := b.check()
	if err != nil {
		return failed(w, err)
	}
	c, err := t.named(r, client)
	if err != nil {
		return failed(w, err)
	}
	externals, err := t.cfg.Store.Externals(r.Context(), client.Name, c.ID)
	if err != nil {
		return failed(w, err)
	}
	e := externals[c.ID]
	if match := r.Header.Get("If-Match"); match != "" && match != "*" && match != etag(&c, e) {
		return failed(w, refuse(http.StatusPreconditionFailed, CodeMatch, "The ticket is not what If-Match says", "read it again"))
	}
	switch {
	case b.Status != nil:
		c, err = t.turn(r.Context(), client, &c, e, &b)
	case note != nil:
		deed := care.Deed{Do: care.EventNote, Text: note.Text}
		if note.Type == noteCustomer {
			deed.Do = care.EventTold
		}
		c, err = t.cfg.Desk.Act(r.Context(), c.ID, c.Version, care.Actor{Kind: care.ByClient, Name: client.Name}, deed)
	case b.ExternalID != nil:
		err = t.call(r.Context(), client, c.ID, *b.ExternalID)
	}
	if err != nil {
		return failed(w, err)
	}
	return t.show(w, r, client, http.StatusOK, &c, nil)
}

// check returns the note that a patch adds, or nil, or why the patch cannot be.
func (b *patchBody) check() (*noteBody, error) {
	var fresh *noteBody
	things := 0
	for i := range b.Note {
		note := &b.Note[i]
		if note.ID != "" {
			continue // one that stands there already: notes stay as they are
		}
		things++
		fresh = note
		if err := bounded("note.text", note.Text, care.MaxDetail, true); err != nil {
			return nil, err
		}
		if note.Type != "" && note.Type != noteInternal && note.Type != noteCustomer {
			return nil, invalid("note.@type: known are " + noteInternal + " and " + noteCustomer)
		}
	}
	if b.Status != nil {
		things++
		if _, known := phaseOf(*b.Status); !known {
			return nil, invalid("status: known are " + statusList())
		}
	}
	if b.StatusChangeReason != nil {
		if b.Status == nil {
			return nil, invalid("statusChangeReason goes with a status")
		}
		if err := bounded("statusChangeReason", *b.StatusChangeReason, care.MaxDetail, false); err != nil {
			return nil, err
		}
	}
	if b.ExternalID != nil {
		things++
		if err := bounded("externalId", *b.ExternalID, maxName, true); err != nil {
			return nil, err
		}
	}
	if things != 1 {
		return nil, invalid(fmt.Sprintf("one change at a time: a status, one note without an id, or an externalId; these are %d", things))
	}
	return fresh, nil
}

// call keeps a client's own name of a case.
func (t *TMF) call(ctx context.Context, client *auth.Client, id care.CaseID, name string) error {
	kept, _, err := t.cfg.Store.PutExternal(ctx, care.External{Client: client.Name, ID: name, Case: id, At: t.cfg.Clock.Now()})
	if err == nil && kept.Case != id {
		return refuse(http.StatusConflict, CodeName, "The externalId is another ticket's", "")
	}
	return err
}

// turn turns a case to a status.
func (t *TMF) turn(ctx context.Context, client *auth.Client, c *care.Case, e care.External, b *patchBody) (care.Case, error) {
	to, _ := phaseOf(*b.Status)
	from := c.Phase(e.AgreedAt)
	if from == to {
		return *c, nil
	}
	if from == care.PhaseSolved && to == care.PhaseClosed {
		return *c, t.cfg.Store.Agree(ctx, client.Name, c.ID, max(t.cfg.Clock.Now(), c.ClosedAt))
	}
	do := deedOf(from, to)
	if do == "" {
		return *c, refuse(http.StatusConflict, CodeTransition, "The ticket cannot be turned to that status",
			fmt.Sprintf("it is %s, and a client cannot make it %s", statuses[from], statuses[to]))
	}
	deed := care.Deed{Do: do}
	if b.StatusChangeReason != nil {
		deed.Text = *b.StatusChangeReason
	}
	if do == care.EventSettled {
		var err error
		if deed.Outcome, err = t.outcome(ctx, c); err != nil {
			return *c, err
		}
	}
	return t.cfg.Desk.Act(ctx, c.ID, c.Version, care.Actor{Kind: care.ByClient, Name: client.Name}, deed)
}

// deedOf is what a client does by turning a case from a phase to another, "" where
// that is not a client's to do.
func deedOf(from, to care.Phase) care.Event {
	over := from >= care.PhaseSolved
	switch to {
	case care.PhaseWaiting:
		if !over {
			return care.EventPaused
		}
	case care.PhaseFresh, care.PhaseWorking:
		if over && from != care.PhaseMerged {
			return care.EventReopened
		}
		if from == care.PhaseWaiting && to == care.PhaseWorking {
			return care.EventResumed
		}
	case care.PhaseSolved, care.PhaseClosed:
		if !over {
			return care.EventSettled
		}
	case care.PhaseWithdrawn:
		if !over {
			return care.EventWithdrawn
		}
	case care.PhaseHeld, care.PhaseMerged:
	}
	return ""
}

// outcome is what the ledger shows of a case's purchase.
func (t *TMF) outcome(ctx context.Context, c *care.Case) (care.Outcome, error) {
	if c.Purchase == 0 {
		return care.OutcomeAnswered, nil
	}
	records, err := t.cfg.Store.Load(ctx, c.Purchase)
	if err != nil {
		return 0, err
	}
	if len(records) == 0 {
		return 0, care.ErrUnproven
	}
	state := records[0].Purchase.State
	switch state {
	case purchase.Credited:
		return care.OutcomeCredited, nil
	case purchase.Refunded:
		return care.OutcomeRefunded, nil
	case purchase.Declined:
		return care.OutcomeNothingTaken, nil
	default:
		return 0, refuse(http.StatusConflict, CodeUnproven, "The ledger does not show an outcome", "the purchase is "+state.String()+": neither credited nor given back yet")
	}
}
