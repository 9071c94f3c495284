package talk

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"tenu/internal/care"
	"tenu/internal/customer"
	"tenu/internal/purchase"
	"tenu/internal/voice/centre"
	"tenu/internal/voice/speech"
)

// The bounds of a conversation.
const (
	maxAsked     = 3  // times that a question is asked in a row without an answer that it knows
	maxQuestions = 40 // in one call: whoever goes round in circles gets a line from nobody else

	languageIn = 500 * time.Millisecond // the customer's language is waited for before the welcome
	keyIn      = 6 * time.Second        // a choice is waited for
	moreIn     = 3 * time.Second        // a choice that nobody has to make
	digitIn    = 6 * time.Second
	codeIn     = 40 * time.Second // the first digit of a code whose SMS is on its way, and each further one
	hashIn     = time.Second
)

// errEnded says that we end the call: there is nothing left to say.
var errEnded = errors.New("all was said")

// values are what is said in a phrase's places, by the name of their place.
type values = map[string]speech.Value

// conversation is one call. Its methods return an error when the call is over.
type conversation struct {
	*Talk
	phone   Phone
	speak   func(language string)
	connect func(ctx context.Context, a centre.Agent) (purchase.Instant, error)
	ctx     context.Context
	call    centre.Call

	number    purchase.MSISDN // whose purchases are spoken of: the trunk vouches for it, or a code proved it; 0 for nobody's
	found     finding         // of the number
	chosen    bool            // the caller chose the language
	questions int
	codes     int
}

// run talks, and hands the record of the call over.
func (c *conversation) run(talk func(*conversation) error) {
	err := talk(c)
	c.cfg.Log.Debug("a call is over", "call", c.call.ID, "release", c.call.Release, "why", err)
	c.call.Ended = c.cfg.Clock.Now()
	c.call.Case = c.caseOf()
	c.cfg.Record(c.call)
}

// caseOf is the case that the call was about: one that was reported has its name only later.
func (c *conversation) caseOf() care.CaseID {
	if c.call.Case != 0 || c.call.Purchase == 0 || c.call.Release == centre.Informed || c.call.Release == centre.Abandoned {
		return c.call.Case
	}
	ctx, done := c.act()
	defer done()
	cases, err := c.cfg.Care.CasesAbout(ctx, c.call.Purchase)
	if err != nil || len(cases) == 0 {
		return 0
	}
	return cases[0].ID
}

// act is the time that something may take. It is done to its end although the caller hangs
// up, so that the record tells what was done.
func (c *conversation) act() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(c.ctx), c.cfg.Patience)
}

func (c *conversation) say(key string, v values) error { return c.phone.Say(c.ctx, key, v) }

// all says phrases without values one after the other.
func (c *conversation) all(keys ...string) error {
	for _, key := range keys {
		if err := c.say(key, nil); err != nil {
			return err
		}
	}
	return nil
}

// failed says that something cannot be done now, and is to be tried again: by us it failed.
func (c *conversation) failed(what, key string, err error) error {
	c.cfg.Log.Warn("a caller cannot be served", "call", c.call.ID, "what", what, "error", err)
	c.call.Release = centre.Failed
	return c.say(key, nil)
}

// unsure tells which phrase is true after a write that failed: whether it was done is not known
// but where the store says that nothing was changed.
func unsure(err error) string {
	if errors.Is(err, purchase.ErrUnavailable) {
		return "failed"
	}
	return "unsure"
}

// ask asks a question until the answer is one of those valid. After so many others, or none, it
// says goodbye.
func (c *conversation) ask(key string, v values, valid string) (byte, error) {
	for range maxAsked {
		if c.questions++; c.questions > maxQuestions {
			break
		}
		if err := c.say(key, v); err != nil {
			return 0, err
		}
		pressed, err := c.phone.Key(c.ctx, keyIn)
		switch {
		case err != nil:
			return 0, err
		case pressed == 0:
			err = c.say("silent", nil)
		case strings.IndexByte(valid, pressed) >= 0:
			return pressed, nil
		default:
			err = c.say("wrong", nil)
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, c.goodbye()
}

// goodbye ends the call.
func (c *conversation) goodbye() error {
	if err := c.say("goodbye", nil); err != nil {
		return err
	}
	return errEnded
}

// more offers another choice to who wants one, and ends the call of who does not.
func (c *conversation) more() error {
	if err := c.say("more", nil); err != nil {
		return err
	}
	pressed, err := c.phone.Key(c.ctx, moreIn)
	if err == nil && pressed == 0 {
		return errEnded
	}
	return err
}

// digits reads what is typed, and takes the hash after digits that needed none.
func (c *conversation) digits(most int, within time.Duration) (string, error) {
	typed, err := c.phone.Digits(c.ctx, most, within)
	if err != nil || len(typed) < most {
		return typed, err
	}
	_, err = c.phone.Key(c.ctx, hashIn)
	return typed, err
}

// serve is the conversation of a call that has a line.
func (c *conversation) serve() error {
	if c.number != 0 {
		looked := c.look(c.number)
		looked.wait(languageIn)
		c.speakAs(&looked.found)
		if err := c.say("welcome", nil); err != nil {
			return err
		}
		looked.wait(c.cfg.Patience)
		c.found = looked.found
	} else {
		if err := c.say("welcome", nil); err != nil {
			return err
		}
		if err := c.identify(); err != nil {
			return err
		}
	}
	if err := c.tell(); err != nil {
		return err
	}
	return c.choose()
}

// choose is the first level of choices, again and again.
func (c *conversation) choose() error {
	for {
		pressed, err := c.ask("menu", nil, "012348")
		if err != nil {
			return err
		}
		switch pressed {
		case '0':
			c.lookAgain()
			err = c.tell()
		case '1':
			err = c.report()
		case '2':
			err = c.callback()
		case '3':
			err = c.agent()
		case '4':
			err = c.another()
		case '8':
			c.turnLanguage()
		}
		if err != nil {
			return err
		}
	}
}

// speakAs goes on in the language of a customer, where that is known and spoken.
func (c *conversation) speakAs(f *finding) {
	language := f.choices.Language
	if language == "" && f.view != nil && f.view.Payer {
		language = f.view.Language
	}
	if !c.chosen && slices.Contains(c.cfg.Voices.Languages(), string(language)) {
		c.setLanguage(language)
	}
}

// chosenBefore goes on in the language that the number chose, if that is known at once.
func (c *conversation) chosenBefore() {
	ctx, done := context.WithTimeout(c.ctx, languageIn)
	defer done()
	if choices, err := c.cfg.Customers.Choices(ctx, c.number); err == nil {
		c.speakAs(&finding{choices: choices})
	}
}

func (c *conversation) setLanguage(language purchase.Language) {
	c.call.Language = language
	c.speak(string(language))
}

// turnLanguage goes on in the next language. It is kept as the customer's choice, for messages
// too, as in the menus of USSD: but for a number that is another's telephone's.
func (c *conversation) turnLanguage() {
	all := c.cfg.Voices.Languages()
	at := slices.Index(all, c.cfg.Voices.Known(string(c.call.Language)))
	c.chosen = true
	c.setLanguage(purchase.Language(all[(at+1)%len(all)]))
	if c.number == 0 || c.number != c.call.Number {
		return
	}
	ctx, done := c.act()
	defer done()
	choices, err := c.cfg.Customers.Choices(ctx, c.number)
	if err == nil {
		choices.Language = c.call.Language
		err = c.cfg.Customers.SetChoices(ctx, c.number, choices)
	}
	if err != nil { // this call goes on in it all the same
		c.cfg.Log.Warn("a caller's language is not kept", "call", c.call.ID, "error", err)
	}
}

// The places of values.
func (c *conversation) local(at purchase.Instant) time.Time {
	return at.Time().In(c.cfg.Hours.Location)
}

// moment is a time of today, or with its day of another.
func (c *conversation) moment(at purchase.Instant) speech.Moment {
	today := customer.Calendar{Now: c.cfg.Clock.Now(), Location: c.cfg.Hours.Location}.Today(at)
	return speech.Moment{At: c.local(at), Dated: !today}
}
