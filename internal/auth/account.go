package auth

import (
	"context"
	"encoding/base32"
	"fmt"
	"io"
	"slices"
	"strings"

	"tenu/internal/purchase"
)

// Add makes an account with a password that is shown once, and must be changed at the
// first sign-in. by is the login of who does it, or "command". Durable on return.
func (d *StaffDesk) Add(ctx context.Context, by string, s Staff) (added Staff, password string, err error) {
	s.Login = plain(s.Login)
	s.Version, s.MustChange, s.HasTOTP = 1, true, false
	if err := CheckStaff(&s); err != nil {
		return Staff{}, "", err
	}
	password, kept, err := d.drawPassword()
	if err != nil {
		return Staff{}, "", err
	}
	s.ID, err = d.cfg.Store.AddStaff(ctx, s, Secrets{Password: kept, MustChange: true}, d.change(by, 0, "added as "+string(s.Role)))
	if err != nil {
		return Staff{}, "", fmt.Errorf("add %s: %w", s.Login, err)
	}
	return s, password, nil
}

// drawPassword draws a password that is easy to read out: 80 bits.
func (d *StaffDesk) drawPassword() (password, kept string, err error) {
	var b [10]byte
	if _, err := io.ReadFull(d.cfg.Random, b[:]); err != nil {
		return "", "", fmt.Errorf("draw a password: %w", err)
	}
	text := strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
	password = strings.Join([]string{text[:4], text[4:8], text[8:12], text[12:]}, "-")
	kept, err = hashPassword(password, d.cfg.Random)
	return password, kept, err
}

func (d *StaffDesk) change(by string, id StaffID, what string) StaffChange {
	return StaffChange{At: d.cfg.Clock.Now(), By: by, Staff: id, What: what}
}

// Change changes an account that has a version: name, role, language, numbers, subject,
// whether it is disabled. A role or number that was taken away holds at the next
// request, and inside the transactions that are under way. Nobody changes their own role, subject or state, or takes a
// number of their own away: ErrOwn. ErrStaffStale, ErrStaff.
func (d *StaffDesk) Change(ctx context.Context, by string, s Staff) (Staff, error) {
	was, _, err := d.cfg.Store.Person(ctx, s.ID)
	if err != nil {
		return Staff{}, fmt.Errorf("change an account: %w", err)
	}
	if was.Version != s.Version {
		return Staff{}, ErrStaffStale
	}
	s.Login, s.HasTOTP, s.MustChange, s.SessionsFrom = was.Login, was.HasTOTP, was.MustChange, was.SessionsFrom
	slices.Sort(s.Numbers)
	s.Numbers = slices.Compact(s.Numbers)
	if err := CheckStaff(&s); err != nil {
		return Staff{}, err
	}
	if by == was.Login && (s.Role != was.Role || s.Disabled != was.Disabled || s.Subject != was.Subject ||
		slices.ContainsFunc(was.Numbers, func(n purchase.MSISDN) bool { return !slices.Contains(s.Numbers, n) })) {
		return Staff{}, ErrOwn
	}
	var what []string
	note := func(changed bool, text string) {
		if changed {
			what = append(what, text)
		}
	}
	note(s.Name != was.Name, "name "+s.Name)
	note(s.Role != was.Role, fmt.Sprintf("role %s, was %s", s.Role, was.Role))
	note(s.Language != was.Language, "language "+s.Language)
	note(s.Subject != was.Subject, "OpenID subject")
	note(s.Disabled && !was.Disabled, "disabled")
	note(!s.Disabled && was.Disabled, "enabled")
	note(!slices.Equal(s.Numbers, was.Numbers), fmt.Sprintf("%d numbers of their own, were %d", len(s.Numbers), len(was.Numbers)))
	if len(what) == 0 {
		return was, nil
	}
	if s.Disabled && !was.Disabled {
		s.SessionsFrom = d.cfg.Clock.Now()
	}
	s.Version++
	if err := d.cfg.Store.ChangeStaff(ctx, s, d.change(by, s.ID, strings.Join(what, ", "))); err != nil {
		return Staff{}, fmt.Errorf("change %s: %w", s.Login, err)
	}
	return s, nil
}

// Revoke ends all of a person's sessions at once.
func (d *StaffDesk) Revoke(ctx context.Context, by string, id StaffID) error {
	// A session of this very instant is over too.
	if err := d.cfg.Store.RevokeStaff(ctx, id, d.cfg.Clock.Now()+1, nil, d.change(by, id, "sessions revoked")); err != nil {
		return fmt.Errorf("revoke sessions: %w", err)
	}
	return nil
}

// Reset gives an account a new password, which is shown once, without authenticator and
// passkeys, and ends its sessions. ErrOwn, ErrStaff.
func (d *StaffDesk) Reset(ctx context.Context, by string, id StaffID) (password string, err error) {
	s, _, err := d.cfg.Store.Person(ctx, id)
	if err != nil {
		return "", fmt.Errorf("reset: %w", err)
	}
	if s.Login == by {
		return "", ErrOwn
	}
	password, kept, err := d.drawPassword()
	if err != nil {
		return "", err
	}
	fresh := Secrets{Password: kept, MustChange: true}
	if err := d.cfg.Store.RevokeStaff(ctx, id, d.cfg.Clock.Now()+1, &fresh, d.change(by, id, "password reset")); err != nil {
		return "", fmt.Errorf("reset %s: %w", s.Login, err)
	}
	return password, nil
}

// ChangePassword replaces a person's password; the old one must be right, and a wrong one
// counts as at a sign-in. Pages end the other sessions then (SignOutElsewhere). ErrSignIn, ErrWeak, ErrLocked.
func (d *StaffDesk) ChangePassword(ctx context.Context, id StaffID, old, password string, v Visitor) error {
	s, _, err := d.cfg.Store.Person(ctx, id)
	if err != nil {
		return fmt.Errorf("change a password: %w", err)
	}
	if err := checkPassword(s.Login, password); err != nil {
		return err
	}
	t, err := d.try(ctx, s.Login, v)
	if err != nil {
		return err
	}
	matches, err := t.password(ctx, old)
	switch {
	case err != nil:
		return err
	case !matches:
		return ErrSignIn
	case old == password:
		return fmt.Errorf("%w: it is the old one", ErrWeak)
	}
	if err := t.accept(ctx, 0); err != nil {
		return err
	}
	after := t.kept
	after.MustChange = false
	if after.Password, err = hashPassword(password, d.cfg.Random); err != nil {
		return err
	}
	return d.setSecrets(ctx, s, t.kept, after, "password changed")
}

func (d *StaffDesk) setSecrets(ctx context.Context, s Staff, before, after Secrets, what string) error {
	c := d.change(s.Login, s.ID, what)
	set, err := d.cfg.Store.SetSecrets(ctx, s.ID, before, after, &c)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if !set {
		return ErrStaffStale
	}
	return nil
}

// OfferTOTP draws a secret for a person's authenticator: the URI to show as a QR code, and the
// sealed secret that EnrolTOTP takes with a first code. Nothing is kept.
func (d *StaffDesk) OfferTOTP(s Staff) (uri, sealed string, err error) {
	secret, uri, err := newTOTP(d.cfg.Issuer, s.Login, d.cfg.Random)
	if err != nil {
		return "", "", err
	}
	box, err := d.sealer.seal(forTOTP(s.Login), secret, d.cfg.Random)
	if err != nil {
		return "", "", err
	}
	return uri, base32.StdEncoding.EncodeToString(box), nil
}

// EnrolTOTP keeps an authenticator once its first code is right; from then on a password
// alone does not sign in. ErrSignIn for a wrong code.
func (d *StaffDesk) EnrolTOTP(ctx context.Context, s Staff, sealed, code string) error {
	box, err := base32.StdEncoding.DecodeString(sealed)
	if err != nil {
		return ErrSignIn
	}
	secret, err := d.sealer.open(forTOTP(s.Login), box)
	if err != nil {
		return ErrSignIn
	}
	step := totpMatch(secret, code, d.cfg.Clock.Now(), 0)
	if step == 0 {
		return ErrSignIn
	}
	_, before, err := d.cfg.Store.Person(ctx, s.ID)
	if err != nil {
		return fmt.Errorf("enrol an authenticator: %w", err)
	}
	after := before
	after.TOTP, after.TOTPStep = box, step
	return d.setSecrets(ctx, s, before, after, "authenticator enrolled")
}

// ReadNumbers reads a list of numbers separated by commas, semicolons or lines.
func ReadNumbers(text string, read func(string) (purchase.MSISDN, error)) ([]purchase.MSISDN, error) {
	var all []purchase.MSISDN
	for _, field := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' || r == ';' }) {
		if field = strings.TrimSpace(field); field == "" {
			continue
		}
		n, err := read(field)
		if err != nil {
			return nil, fmt.Errorf("number %q: %w", cut(field, 40), err)
		}
		if all = append(all, n); len(all) > maxStaffNumbers {
			return nil, fmt.Errorf("at most %d numbers", maxStaffNumbers)
		}
	}
	return all, nil
}
