package main

import (
	"fmt"
	"time"

	"tenu/internal/auth"
)

// configCmd groups what concerns the configuration.
type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Check a configuration without starting anything."`
	Key   configKeyCmd   `cmd:"" help:"Make an API key, and the lines of configuration for it."`
}

// configKeyCmd makes an API key.
type configKeyCmd struct {
	Client string        `arg:"" help:"The client's name: a-z, 0-9 and hyphen."`
	Life   time.Duration `help:"How long the key is valid; for ever when absent." placeholder:"8760h"`
	JSON   bool          `name:"json" help:"Print JSON."`
}

// Run prints the key, which is shown nowhere else, and its hash.
func (c *configKeyCmd) Run(a *app) error {
	key, err := auth.NewKey(c.Client, a.random)
	if err != nil {
		return usage(err)
	}
	if c.Life < 0 {
		return usage(fmt.Errorf("life %s is over before it began", c.Life))
	}
	hash, expires := auth.HashKey(key).String(), ""
	if c.Life > 0 {
		expires = a.clock.Now().Time().Add(c.Life).Truncate(time.Second).Format(time.RFC3339)
	}
	if c.JSON {
		return a.json(struct {
			Client  string `json:"client"`
			Key     string `json:"key"`
			Hash    string `json:"hash"`
			Expires string `json:"expires,omitempty"`
		}{c.Client, key, hash, expires})
	}
	a.printf("The key, for the client alone; it is shown only now:\n\n  %s\n\n", key)
	a.printf("For the configuration, under clients:\n\n  - name: %s\n    scopes: [purchases:write, purchases:read, products:read, balance:read]\n    keys:\n      - hash: %s\n", c.Client, hash)
	if expires != "" {
		a.printf("        expires: %s\n", expires)
	}
	return nil
}
