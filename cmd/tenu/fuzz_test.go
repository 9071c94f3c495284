package main

import (
	"fmt"
	"strings"
	"testing"

	"tenu/internal/fuzztest"
	"tenu/internal/money"
	"tenu/internal/partner"
	"tenu/internal/purchase"
)

// FuzzConfig: no text makes the reader panic or costs more memory than its size
// allows; what it accepts makes sense; and no secret that stands where a secret
// must be named is repeated.
func FuzzConfig(f *testing.F) {
	f.Add(readExample(f))
	f.Add("node: a\nlisten: {api: \"x:1\"}\nstore: {dsn: \"sqlite:x\"}\npartners: [{name: w, gsma: {}}]\nclients: []\n")
	f.Add("node: [\n")
	f.Add(strings.NewReplacer("retry_first: 1s", "retry_first: 9223372036854775807ns", "10s", "-10s", "rate: 50", "rate: 1e308").Replace(readExample(f)))
	f.Add(strings.NewReplacer("rate: 1000 ", "rate: .nan ", "burst: 1000 ", "burst: 0 ", "max_connections: 4096", "max_connections: 9223372036854775807").Replace(readExample(f)))
	f.Add(strings.NewReplacer("concurrency: 64", "concurrency: 1", "{failures: 10, window: 20", "{failures: 1, window: 1000").Replace(readExample(f)))
	keys, err := purchase.NewKeyring(make([]byte, 16))
	if err != nil {
		f.Fatal(err)
	}
	dir := f.TempDir() // with no file in it
	f.Fuzz(func(t *testing.T, text string) {
		var cfg *config
		var err error
		fuzztest.Within(t, 32<<20+4096*len(text), func() { cfg, err = parseConfig(dir+"/tenu.yaml", []byte(text)) })
		if err != nil {
			if !strings.HasPrefix(err.Error(), "configuration: "+dir+"/tenu.yaml:") {
				t.Errorf("%v does not name the file", err)
			}
			return
		}
		rules, err := cfg.rules()
		if err != nil || rules.DeliverWithin <= 0 || rules.DeliverWithin > 1<<62 || cfg.Node == "" || len(cfg.Partners) == 0 {
			t.Errorf("accepted: %+v, %v", cfg, err)
		}
		if strings.Contains(text, "/") && strings.Contains(text, "file:") {
			return // names a file of this machine
		}
		for i := range cfg.Partners {
			p := &cfg.Partners[i]
			p.CA = ""
			p.Concurrency = min(p.Concurrency, 1000) // each is a slot
			if p.GSMA != nil && p.GSMA.APIKey != "" {
				p.GSMA.APIKey = "hunter2"
			}
			built, err := cfg.build(&app{env: exampleEnv, clock: newSteady()}, fmt.Sprintf("partners[%d]", i), p, keys, money.XOF)
			if err != nil {
				if strings.Contains(err.Error(), "hunter2") {
					t.Errorf("%v repeats the secret", err)
				}
				continue
			}
			if built.partner.Name() != p.Name {
				t.Errorf("%+v makes %+v", p, built)
			}
			_, _ = partner.NewGuard(built.partner, p.limits(), newSteady().Now) // an error, never a panic
		}
	})
}
