package smpp

import (
	"testing"

	"tenu/internal/testpeer"
)

// Kannel's own centre for tests takes a pair of binds, brings texts, and takes ours.
func TestKannel(t *testing.T) {
	const messages = 50
	address := testpeer.RunKannel(t, messages)
	c, h := run(t, Config{Address: address, SystemID: "foo", Password: "bar", Type: "VMA", Pair: true, Sender: "1210"})
	bound(t, c, 2)
	h.wait(t, "texts", func() bool { return len(h.texts) == messages })
	for i := range messages {
		if refs, err := c.Send(t.Context(), message(i)); err != nil || len(refs) != 1 {
			t.Fatalf("message %d: %q, %v", i, refs, err)
		}
	}
	if first := h.texts[0]; first.From == "" || first.To == "" || first.Text == "" || first.USSD != nil {
		t.Errorf("the first text is %+v", first)
	}
}
