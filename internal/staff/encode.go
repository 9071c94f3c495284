package staff

import (
	"encoding/base64"
	"fmt"

	"rsc.io/qr"

	"tenu/internal/purchase"
)

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func decode(text string) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("read an identifier: %w", err)
	}
	return b, nil
}

// picture is a text as a QR code: the path of an SVG of 1 by 1 modules, and its side.
func picture(text string) (path string, side int, err error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", 0, fmt.Errorf("draw a code: %w", err)
	}
	var b []byte
	for y := range code.Size {
		for x := range code.Size {
			if code.Black(x, y) {
				b = fmt.Appendf(b, "M%d %dh1v1h-1z", x+4, y+4)
			}
		}
	}
	return string(b), code.Size + 8, nil
}

// time is an instant to the minute, with its day.
func (v *Visit) time(at purchase.Instant) string {
	return at.Time().In(v.site.cfg.Location).Format("02/01/2006 15:04")
}
