package main

import (
	"fmt"
	"os"
	"time"
	_ "time/tzdata" // the country's time zone, on machines that have none

	"tenu/internal/api"
	"tenu/internal/auth"
	"tenu/internal/catalogue"
	"tenu/internal/notify"
	"tenu/internal/numbering"
	"tenu/internal/partner"
	"tenu/internal/partner/house"
	"tenu/internal/purchase"
	"tenu/internal/receipt"
	"tenu/internal/yamlfile"
)

// parts are what a configuration stands for, without a store.
type parts struct {
	rules     purchase.Rules
	directory *numbering.Directory
	catalogue *catalogue.Catalogue
	wording   *notify.Wording
	clients   *auth.Book
	guards    map[string]*partner.Guard
	members   []purchase.Member
	callers   map[string]api.Caller
	adapters  []*adapter
	zone      *time.Location
	canaries  []canaryLine    // that what is paused is tried with
	receipts  *receipt.Issuer // nil where there are none
}

// parts builds what the configuration stands for. Errors name the file, line
// and key.
func (c *config) parts(a *app, keys *purchase.Keyring) (*parts, error) {
	p := &parts{guards: map[string]*partner.Guard{}, callers: map[string]api.Caller{}}
	var err error
	if p.rules, err = c.rules(); err != nil {
		return nil, c.file.Errorf("profile", "%w", err)
	}
	if p.clients, err = c.book(); err != nil {
		return nil, err
	}
	if err := c.numbers(p); err != nil {
		return nil, err
	}
	if err := c.goods(p); err != nil {
		return nil, err
	}
	if err := c.canaries(p); err != nil {
		return nil, err
	}
	if p.receipts, err = c.receipts(a.env); err != nil {
		return nil, err
	}
	for i := range c.Partners {
		raw, path := &c.Partners[i], fmt.Sprintf("partners[%d]", i)
		built, err := c.build(a, path, raw, keys, p.catalogue.Currency())
		if err != nil {
			return nil, err
		}
		guard, err := partner.NewGuard(built.partner, raw.limits(), a.clock.Now)
		if err != nil {
			return nil, c.file.Errorf(path, "%w", err)
		}
		p.adapters = append(p.adapters, built)
		p.guards[raw.Name] = guard
		p.members = append(p.members, purchase.Member{Partner: guard, Concurrency: orElse(raw.Concurrency, 64)})
		if built.caller != nil {
			p.callers[raw.Name] = built.caller
		}
	}
	p.members = append(p.members, purchase.Member{Partner: house.House{}, Concurrency: houseAtOnce})
	return p, nil
}

// houseAtOnce is how many gifts the house pays for at once; it answers at once.
const houseAtOnce = 4

// numbers reads the numbering plan and the ported numbers.
func (c *config) numbers(p *parts) error {
	name, data := "the built-in plan", numbering.BurkinaFaso
	if c.Numbering.Plan != "" {
		var err error
		name = c.path(c.Numbering.Plan)
		if data, err = yamlfile.Read(name); err != nil {
			return c.file.Errorf("numbering.plan", "%w", err)
		}
	}
	plan, err := numbering.ParsePlan(name, data)
	if err != nil {
		return err
	}
	p.directory = numbering.NewDirectory(plan)
	if c.Numbering.Ported == "" {
		return nil
	}
	file, err := os.Open(c.path(c.Numbering.Ported))
	if err != nil {
		return c.file.Errorf("numbering.ported", "%w", err)
	}
	defer func() { _ = file.Close() }() // it was only read
	ported, err := plan.ReadPorted(c.path(c.Numbering.Ported), file)
	if err != nil {
		return err
	}
	p.directory.SetPorted(ported)
	return nil
}

// goods reads the catalogue, and words the notices with its names.
func (c *config) goods(p *parts) error {
	name, data := "the built-in catalogue", catalogue.Demo
	if c.Catalogue != "" {
		var err error
		name = c.path(c.Catalogue)
		if data, err = yamlfile.Read(name); err != nil {
			return c.file.Errorf("catalogue", "%w", err)
		}
	}
	var err error
	if p.catalogue, err = catalogue.Parse(name, data); err != nil {
		return err
	}
	zone, err := c.zone()
	if err != nil {
		return err
	}
	p.zone = zone
	words := notify.WordingConfig{Products: map[string]map[string]string{}, Payers: map[string]map[string]string{},
		House: house.Name, Format: p.directory.Format, Location: zone}
	for _, product := range p.catalogue.Products() {
		words.Products[product.Code] = product.Names
	}
	for _, wallet := range p.catalogue.Wallets() {
		words.Payers[wallet.Name] = wallet.Names
	}
	if p.wording, err = notify.NewWording(words); err != nil {
		return c.file.Errorf("catalogue", "%w", err)
	}
	return nil
}

// zone is the country's time zone.
func (c *config) zone() (*time.Location, error) {
	zone, err := time.LoadLocation(orElse(c.Profile.Timezone, "Africa/Ouagadougou"))
	if err != nil {
		return nil, c.file.Errorf("profile.timezone", "%w", err)
	}
	return zone, nil
}
