package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"tenu/internal/profile"
	"tenu/internal/regulator"
	"tenu/internal/regulator/monthly"
	"tenu/internal/store"
)

// reportCmd writes a month's report to the regulator, or publishes it.
type reportCmd struct {
	Config   string `short:"c" default:"tenu.yaml" type:"path" help:"The configuration file."`
	Month    string `arg:"" help:"The month, such as 2024-07."`
	Profile  string `help:"The country whose limits figures are held against; by default the configuration's."`
	Format   string `default:"html" enum:"html,pdf,csv,json,parquet" help:"html, pdf, csv, json or parquet."`
	Language string `default:"fr" enum:"fr,en" help:"fr or en, of html and pdf."`
	Out      string `short:"o" type:"path" help:"The file to write; by default the standard output."`
	Publish  bool   `help:"Publish the month: once, signed, and never changed."`
}

// Run writes the report. A month that is published is written as it was published, unless another profile is asked for.
func (c *reportCmd) Run(ctx context.Context, a *app) error {
	return withRegulator(ctx, a, c.Config, func(cfg *config, s *store.Store, d *regulator.Desk) error {
		limits, err := limitsBy(cfg, c.Profile)
		if err != nil {
			return usage(err)
		}
		zone, err := cfg.zone()
		if err != nil {
			return usage(err)
		}
		brand := orElse(cfg.App.Brand, "tenu")
		if c.Publish {
			p, err := d.Publish(ctx, c.Month, 0, limits, monthly.Drawer(brand, zone))
			if err != nil {
				return explained(c.Month, err)
			}
			a.printf("Published %s.\n  SHA-256 %s\n  Ed25519 %s\n  key     %s\n", p.Month, p.Digest, p.Signature, d.Key())
			return nil
		}
		data, err := c.published(ctx, s)
		if err != nil {
			return err
		}
		if data == nil {
			m, err := d.Compose(ctx, c.Month, limits)
			if err != nil {
				return explained(c.Month, err)
			}
			if data, _, err = monthly.Form(m, c.Format, c.Language, brand, zone); err != nil {
				return err
			}
		}
		if c.Out == "" {
			_, err = a.out.Write(data)
			return err
		}
		if err := os.WriteFile(c.Out, data, 0o600); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		return nil
	})
}

// published is the file of a published month, nil where it is not or another profile is asked for.
func (c *reportCmd) published(ctx context.Context, s *store.Store) ([]byte, error) {
	if c.Profile != "" {
		return nil, nil
	}
	files, err := s.PublicationFiles(ctx, c.Month)
	if err != nil {
		return nil, err
	}
	ending := "." + c.Format
	if c.Format == "html" || c.Format == "pdf" {
		ending = "-" + c.Language + ending
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name, ending) {
			full, err := s.PublicationFile(ctx, c.Month, f.Name)
			return full.Data, err
		}
	}
	return nil, nil
}

// explained says what to do about a month that cannot be told of.
func explained(month string, err error) error {
	switch {
	case errors.Is(err, regulator.ErrPeriod):
		return usage(fmt.Errorf("%q is not a month such as 2024-07", month))
	case errors.Is(err, regulator.ErrOpen):
		return usage(fmt.Errorf("%s is not over, or its days are not summed up yet: `tenu serve` does so ten minutes after each ends", month))
	case errors.Is(err, regulator.ErrPublished):
		return usage(fmt.Errorf("%s is published, and never changes", month))
	}
	return err
}

// withRegulator opens the store of a configuration with the regulator's desk.
func withRegulator(ctx context.Context, a *app, file string, use func(*config, *store.Store, *regulator.Desk) error) error {
	return withStore(ctx, a, file, func(cfg *config, s *store.Store) error {
		secret, err := secret(ctx, a, s)
		if err != nil {
			return err
		}
		zone, err := cfg.zone()
		if err != nil {
			return usage(err)
		}
		d, err := regulatorDesk(s, a.clock, zone, secret)
		if err != nil {
			return err
		}
		return use(cfg, s, d)
	})
}

// limitsBy are a country's, by default the configuration's.
func limitsBy(cfg *config, country string) (*regulator.Limits, error) {
	if country == "" {
		p, err := cfg.country()
		if err != nil {
			return nil, err
		}
		own, err := cfg.targets()
		if err != nil {
			return nil, err
		}
		return regulator.LimitsOf(p, cfg.Profile.Drafts).Or(own), nil
	}
	p, err := profile.Load(strings.ToUpper(country))
	if err != nil {
		return nil, err
	}
	return regulator.LimitsOf(p, cfg.Profile.Drafts), nil
}

// profileCmd groups what is asked of countries' profiles.
type profileCmd struct {
	Compare profileCompareCmd `cmd:"" help:"Show what a month would have been under each country's limits."`
}

// profileCompareCmd compares profiles over a month.
type profileCompareCmd struct {
	Config    string   `short:"c" default:"tenu.yaml" type:"path" help:"The configuration file."`
	Month     string   `arg:"" help:"The month, such as 2024-07."`
	Countries []string `arg:"" optional:"" help:"The countries; by default all that there are profiles of."`
	Language  string   `default:"fr" enum:"fr,en" help:"fr or en."`
	JSON      bool     `name:"json" help:"Print JSON."`
}

// Run prints the figures that limits change, by country.
func (c *profileCompareCmd) Run(ctx context.Context, a *app) error {
	return withRegulator(ctx, a, c.Config, func(cfg *config, _ *store.Store, d *regulator.Desk) error {
		span, err := d.Month(c.Month)
		if err != nil {
			return explained(c.Month, err)
		}
		over, err := d.Over(ctx, span)
		if err != nil {
			return err
		}
		countries := c.Countries
		if len(countries) == 0 {
			countries = profile.Countries()
		}
		found := map[string]map[string]string{}
		for _, country := range countries {
			limits, err := limitsBy(cfg, country)
			if err != nil {
				return usage(err)
			}
			values := map[string]string{}
			if !c.JSON {
				a.printf("%s\n", limits.Profile)
			}
			for i := range regulator.Definitions {
				x := &regulator.Definitions[i]
				limit, said := limits.Sources[x.Code]
				v := x.Of(over.Figures, limits)
				switch {
				case x.Code != "breaches" && x.Code != "held_late" && !strings.HasSuffix(x.Code, "_within"):
					continue
				case c.JSON:
					values[x.Code] = v.Plain()
				case said && limit.Source == "":
					a.printf("  %-42s %s (%s: the operator's own target)\n", x.Name(c.Language), plain(v.Say(c.Language)), limit.Within)
				case said:
					a.printf("  %-42s %s (%s: %s)\n", x.Name(c.Language), plain(v.Say(c.Language)), limit.Within, limit.Source)
				default:
					a.printf("  %-42s %s\n", x.Name(c.Language), plain(v.Say(c.Language)))
				}
			}
			found[strings.ToUpper(country)] = values
		}
		if c.JSON {
			return a.json(found)
		}
		return nil
	})
}
