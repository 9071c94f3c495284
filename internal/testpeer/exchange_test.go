package testpeer

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/emiago/sipgo"
)

// Two exchanges call each other: what one says the other hears.
func TestExchange(t *testing.T) {
	a, b := NewExchange(t), NewExchange(t)
	talks := make(chan *Talk, 1)
	b.Telephone("121", func(r *Ring) {
		talk, err := r.Answer()
		if err != nil {
			t.Error(err)
		}
		talks <- talk
	})
	here, err := a.Call(t.Context(), b.Address(), "+22670112233")
	if err != nil {
		t.Fatal(err)
	}
	there := <-talks
	voice := bytes.Repeat([]byte{1, 2, 3, 4}, 100)
	there.Speak(voice)
	if !here.Hear(voice, 10*time.Second) {
		t.Error("not heard")
	}
	there.HangUp()
	select {
	case <-here.Over():
	case <-time.After(10 * time.Second):
		t.Error("the call does not end")
	}
	if here.Hear(voice, time.Second) {
		t.Error("heard what was not said again")
	}
	b.Telephone("121", func(r *Ring) { r.Refuse(486) })
	_, err = a.Call(t.Context(), b.Address(), "")
	if refused := (*sipgo.ErrDialogResponse)(nil); !errors.As(err, &refused) || refused.Res.StatusCode != 486 {
		t.Errorf("busy: %v", err)
	}
	if n := len(b.Rang("121")); n != 2 {
		t.Errorf("rang %d times", n)
	}
}
