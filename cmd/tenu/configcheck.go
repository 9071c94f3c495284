package main

import "tenu/internal/purchase"

// configCheckCmd checks a configuration.
type configCheckCmd struct {
	Config string `arg:"" default:"tenu.yaml" type:"path" help:"The configuration file."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

// Run checks everything that can be checked without opening the store or
// listening: the file, the secrets it names, the numbering plan, the catalogue
// and the partners.
func (c *configCheckCmd) Run(a *app) error {
	cfg, err := readConfig(c.Config)
	if err != nil {
		return usage(err)
	}
	if _, err := cfg.dsn(a.env); err != nil {
		return usage(err)
	}
	if _, err := cfg.post(a.env); err != nil {
		return usage(err)
	}
	if _, err := cfg.webhooks(a.env); err != nil {
		return usage(err)
	}
	// The keys of callbacks are the store's; any do for a check.
	keys, err := purchase.NewKeyring(make([]byte, 16))
	if err != nil {
		return err
	}
	parts, err := cfg.parts(a, keys)
	if err != nil {
		return usage(err)
	}
	if _, err := cfg.waysIn(a.env); err != nil {
		return usage(err)
	}
	sealing, err := cfg.sealing(a)
	if err != nil {
		return usage(err)
	}
	if c.JSON {
		return a.json(map[string]any{"ok": true, "sealed": sealing != nil, "node": cfg.Node, "partners": len(cfg.Partners), "clients": len(cfg.Clients),
			"products": len(parts.catalogue.Products())})
	}
	a.printf("%s is good: node %s, %d partners, %d clients, %d products.\n", c.Config, cfg.Node, len(cfg.Partners),
		len(cfg.Clients), len(parts.catalogue.Products()))
	if sealing == nil {
		a.printf("What people write is kept plain: store.sealing would seal it.\n")
	}
	return nil
}
