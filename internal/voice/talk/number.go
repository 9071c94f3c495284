package talk

import (
	"context"
	"errors"

	"tenu/internal/auth"
	"tenu/internal/purchase"
)

// The bounds of proving a number.
const (
	maxNumber = 15 // digits (ITU-T E.164)
	maxCodes  = 3  // that one call sends
)

// identify asks a caller whom nobody vouches for whose purchase it is about, and has it proven by a
// code. Until then nothing is said of any.
func (c *conversation) identify() error {
	for range maxAsked {
		if err := c.say("unknown_caller", nil); err != nil {
			return err
		}
		typed, err := c.digits(maxNumber, digitIn)
		if err != nil {
			return err
		}
		if typed == "0" {
			if err := c.agent(); err != nil {
				return err
			}
			continue
		}
		number, err := c.understood(typed)
		if err == nil && number != 0 {
			err = c.prove(number)
		}
		if err != nil || c.number != 0 {
			return err
		}
	}
	return c.goodbye()
}

// another goes on with the purchases of another number.
func (c *conversation) another() error {
	number, err := c.entered("other_number")
	if err == nil && number != 0 {
		err = c.prove(number)
	}
	if err != nil || number == 0 || number != c.number {
		return err
	}
	return c.tell()
}

// entered asks for a number until one is typed that can be; 0 for none.
func (c *conversation) entered(key string) (purchase.MSISDN, error) {
	for range maxAsked {
		if err := c.say(key, nil); err != nil {
			return 0, err
		}
		typed, err := c.digits(maxNumber, digitIn)
		if err != nil {
			return 0, err
		}
		if number, err := c.understood(typed); err != nil || number != 0 {
			return number, err
		}
	}
	return 0, nil
}

// understood is a number that was typed. It says so when there is none, and returns 0.
func (c *conversation) understood(typed string) (purchase.MSISDN, error) {
	if typed == "" {
		return 0, c.say("silent", nil)
	}
	if number, ok := c.cfg.Number(typed); ok {
		return number, nil
	}
	return 0, c.say("no_number", nil)
}

// prove goes on with a number, once it is proven to be the caller's.
func (c *conversation) prove(number purchase.MSISDN) error {
	if number != c.number && number != c.call.Number {
		proven, err := c.byCode(number)
		if err != nil || !proven {
			return err
		}
	}
	hidden := c.call.Number == 0
	if hidden {
		c.call.Number = number
	}
	if number != c.number { // what was spoken of is another's
		c.call.Purchase, c.call.Case = 0, 0
	}
	c.number = number
	c.lookAgain()
	if hidden {
		c.speakAs(&c.found)
	}
	return nil
}

// byCode sends a code to a number, asks for it, and reports whether it was the one.
func (c *conversation) byCode(number purchase.MSISDN) (bool, error) {
	code, err := c.newCode(number)
	switch {
	case errors.Is(err, auth.ErrTooMany):
		return false, c.say("too_many", nil)
	case err != nil:
		return false, c.failed("make a code", "failed", err)
	}
	sent := make(chan error, 1)
	language := string(c.call.Language)
	go func() { sent <- c.cfg.Send(number, language, code) }()
	if err := c.say("other_code", nil); err != nil {
		return false, err
	}
	select {
	case err = <-sent:
	case <-c.ctx.Done():
		return false, context.Cause(c.ctx)
	}
	if err != nil {
		return false, c.failed("send a code", "failed", err)
	}
	return c.typedCode(number)
}

// newCode makes a code. A call sends a few, whatever the numbers: the limits of the numbers, of the caller's
// own one (of a hidden one's trunk) and of all together are the app's.
func (c *conversation) newCode(number purchase.MSISDN) (string, error) {
	if c.codes++; c.codes > maxCodes {
		return "", auth.ErrTooMany
	}
	source := channel + "/" + c.call.Trunk // all together who are hidden: they are not to use up everybody's codes
	if c.call.Number != 0 {
		source = channel + "/" + c.call.Number.String()
	}
	ctx, done := c.act()
	defer done()
	return c.cfg.Codes.New(ctx, number, source)
}

// typedCode asks for the code that was sent to a number.
func (c *conversation) typedCode(number purchase.MSISDN) (bool, error) {
	for range maxAsked {
		if err := c.say("other_type", nil); err != nil {
			return false, err
		}
		typed, err := c.digits(auth.CodeDigits, codeIn)
		if err != nil {
			return false, err
		}
		key := "silent"
		if typed != "" {
			key = "other_wrong"
			switch err := c.take(number, typed); {
			case err == nil:
				return true, nil
			case !errors.Is(err, auth.ErrCode):
				return false, c.failed("take a code", "failed", err)
			}
		}
		if err := c.say(key, nil); err != nil {
			return false, err
		}
	}
	return false, c.say("other_stopped", nil)
}

func (c *conversation) take(number purchase.MSISDN, code string) error {
	ctx, done := c.act()
	defer done()
	return c.cfg.Codes.Accept(ctx, number, code)
}
