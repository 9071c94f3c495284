package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/s2"

	"tenu/internal/care"
	"tenu/internal/evidence"
	"tenu/internal/incident"
	"tenu/internal/purchase"
)

// A *Store keeps the log, and finds leaves in it.
var (
	_ evidence.Store  = (*Store)(nil)
	_ evidence.Finder = (*Store)(nil)
	_ evidence.Seeker = (*Store)(nil)
)

const logStateColumns = `size, seals, begun, sealed_at, checkpoint`

// LogState is evidence.Store.
func (s *Store) LogState(ctx context.Context) (evidence.State, error) {
	return one(ctx, s, "read the log's state", nil, scanLogState, `SELECT `+logStateColumns+` FROM log_state`)
}

func scanLogState(row scanner, l *evidence.State) error {
	err := row.Scan(&l.Size, &l.Seals, &l.Begun, &l.SealedAt, &l.Checkpoint)
	if len(l.Checkpoint) == 0 {
		l.Checkpoint = nil
	}
	return err
}

// LogQueue is evidence.Store.
func (s *Store) LogQueue(ctx context.Context, most, bytes int) (batches []evidence.Batch, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		batches = nil
		rows, err := tx.QueryContext(ctx, `SELECT b.id, b.leaves, b.raw FROM log_queue q JOIN log_batch b ON b.id = q.batch ORDER BY q.batch LIMIT $1`, most)
		if err != nil {
			return err
		}
		defer rows.Close()
		for read := 0; read < bytes && rows.Next(); {
			var b evidence.Batch
			if b.Leaves, err = scanLeaves(rows, &b.ID); err != nil {
				return err
			}
			batches = append(batches, b)
			read += len(b.Leaves)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read waiting leaves: %w", err)
	}
	return batches, nil
}

// packedFrom is how many bytes of leaves are worth packing, and mostUnpacked bounds what they may come to.
const packedFrom, mostUnpacked = 512, 256 << 20

// packLeaves makes of a batch's leaves what is stored of them, and raw, how many bytes they have;
// 0 where they are stored as they are. Measured for a purchase's three leaves: 614 bytes become 122 in
// 0.7 µs, and are unpacked in 0.5; they went through the database's log, its pages and its network whole.
func packLeaves(room *[]byte, leaves []byte) (stored []byte, raw int64) {
	if len(leaves) < packedFrom || len(leaves) > mostUnpacked {
		return leaves, 0
	}
	if most := s2.MaxEncodedLen(len(leaves)); cap(*room) < most {
		*room = make([]byte, most)
	}
	return s2.Encode((*room)[:cap(*room)], leaves), int64(len(leaves))
}

// unpackLeaves undoes packLeaves. What nobody packed so reads as a bundle that is cut, which is found
// where leaves are read. The result shares no memory with what is stored.
func unpackLeaves(stored []byte, raw int64) []byte {
	if raw == 0 {
		return slices.Clone(stored)
	}
	if n, err := s2.DecodedLen(stored); err != nil || int64(n) != raw || n > mostUnpacked {
		return []byte{0}
	}
	leaves, err := s2.Decode(nil, stored)
	if err != nil {
		return []byte{0}
	}
	return leaves
}

// scanLeaves reads a batch's number and its leaves.
func scanLeaves(rows *sql.Rows, batch *int64) ([]byte, error) {
	var stored sql.RawBytes
	var raw int64
	if err := rows.Scan(batch, &stored, &raw); err != nil {
		return nil, err
	}
	return unpackLeaves(stored, raw), nil
}

// LogTile is evidence.Store.
func (s *Store) LogTile(ctx context.Context, level int, n int64) (data []byte, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		data, err = (&snapshotLog{tx: tx}).Tile(ctx, level, n, 0)
		if errors.Is(err, evidence.ErrMissing) {
			return own(err)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read a tile of the log: %w", err)
	}
	return data, nil
}

// mostPlaces bounds what is read at once to find a leaf.
const mostPlaces = 256

// LogTiles sets the data of those tiles of hashes that there are.
func (s *Store) LogTiles(ctx context.Context, tiles []evidence.Tile) error {
	var text strings.Builder
	var values []any
	for i := range tiles {
		text.WriteString([]string{``, ` UNION ALL `}[min(i, 1)] + `SELECT level, n, data FROM log_tile WHERE level = $` + strconv.Itoa(2*i+1) + ` AND n = $` + strconv.Itoa(2*i+2))
		values = append(values, tiles[i].Level, tiles[i].N)
	}
	found, err := list(ctx, s, "read tiles of the log", func(row scanner, t *evidence.Tile) error { return row.Scan(&t.Level, &t.N, &t.Data) }, text.String(), values...)
	for i := range tiles {
		for j := range found {
			if found[j].Level == tiles[i].Level && found[j].N == tiles[i].N {
				tiles[i].Data = found[j].Data
			}
		}
	}
	return err
}

const spanQuery = `SELECT p.first, p.leaves, p.seal, b.leaves, coalesce(b.raw, 0) FROM log_place p LEFT JOIN log_batch b ON b.id = p.batch AND p.batch <> 0`

func scanSpan(row *sql.Rows, x *evidence.Span) error {
	var seal, stored sql.RawBytes
	var raw int64
	err := row.Scan(&x.First, &x.Count, &seal, &stored, &raw)
	if x.Leaves = slices.Clone(seal); len(seal) == 0 {
		x.Leaves = unpackLeaves(stored, raw)
	}
	return err
}

// LogSpans is evidence.Finder.
func (s *Store) LogSpans(ctx context.Context, at, till purchase.Instant) ([]evidence.Span, error) {
	return s.spans(ctx, [][2]purchase.Instant{{at, till}}, nil)
}

// LogSpansAt is evidence.Seeker.
func (s *Store) LogSpansAt(ctx context.Context, times []purchase.Instant, within time.Duration, known map[int64]bool) ([]evidence.Span, error) {
	between := make([][2]purchase.Instant, len(times))
	for i, at := range times {
		between[i] = [2]purchase.Instant{at, evidence.After(at, within)}
	}
	return s.spans(ctx, between, known)
}

// instantsAtOnce bounds how many instants one statement looks for.
const instantsAtOnce = 16

// spans finds the places that may hold any of some instants, and reads the leaves of each batch once.
func (s *Store) spans(ctx context.Context, between [][2]purchase.Instant, known map[int64]bool) (spans []evidence.Span, err error) {
	d := s.db.dialect()
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		spans = nil
		at := map[int64]int{} // where the span of a place is
		of := map[int64]int{} // and of a batch
		var batches []int64
		for some := range slices.Chunk(between, instantsAtOnce) {
			query, values := placesQuery(some)
			err := each(ctx, tx, func(rows *sql.Rows) error {
				var x evidence.Span
				var batch int64
				if err := rows.Scan(&x.First, &x.Count, &batch, &x.Leaves); err != nil {
					return err
				}
				if _, twice := at[x.First]; twice || known[x.First] {
					return nil
				}
				if at[x.First] = len(spans); batch != 0 {
					of[batch] = len(spans)
					batches = append(batches, batch)
				}
				spans = append(spans, x)
				return nil
			}, query, values...)
			if err != nil {
				return err
			}
		}
		if len(batches) == 0 {
			return nil
		}
		return each(ctx, tx, func(rows *sql.Rows) error {
			var batch int64
			leaves, err := scanLeaves(rows, &batch)
			spans[of[batch]].Leaves = leaves
			return err
		}, `SELECT id, leaves, raw FROM log_batch WHERE id`+d.among, d.list(batches))
	})
	if err != nil {
		return nil, fmt.Errorf("find leaves of the log: %w", err)
	}
	return spans, nil
}

// placesQuery finds the places of instants, each by the index.
func placesQuery(between [][2]purchase.Instant) (string, []any) {
	var text strings.Builder
	var values []any
	for i, x := range between {
		if i > 0 {
			text.WriteString(` UNION ALL `)
		}
		fmt.Fprintf(&text, `SELECT * FROM (SELECT first, leaves, batch, seal FROM log_place WHERE high >= $%[1]d AND high <= $%[2]d AND low <= $%[1]d
			ORDER BY high, low, first LIMIT %[3]d) s%[4]d`, 2*i+1, 2*i+2, mostPlaces, i)
		values = append(values, int64(x[0]), int64(x[1]))
	}
	return text.String(), values
}

// LogWaiting is in how many batches leaves wait that are in no tree yet, and when the oldest leaf of the
// first was made; zero for none.
func (s *Store) LogWaiting(ctx context.Context) (batches int64, oldest purchase.Instant, err error) {
	err = s.view(ctx, func(ctx context.Context, tx *sql.Tx) error {
		oldest = 0
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM log_queue`).Scan(&batches); err != nil || batches == 0 {
			return err
		}
		var leaves []byte
		err := each(ctx, tx, func(rows *sql.Rows) (err error) {
			leaves, err = scanLeaves(rows, new(int64))
			return err
		}, `SELECT id, leaves, raw FROM log_batch WHERE id = (SELECT min(batch) FROM log_queue)`)
		if err != nil {
			return err
		}
		for len(leaves) > 0 {
			var leaf []byte
			if leaf, leaves, err = evidence.NextLeaf(leaves); err != nil {
				return own(err)
			}
			if h, _, err := evidence.ParseHead(leaf); err == nil && (oldest == 0 || h.At < oldest) {
				oldest = h.At
			}
		}
		return nil
	})
	if err != nil {
		return 0, 0, fmt.Errorf("count waiting leaves: %w", err)
	}
	return batches, oldest, nil
}

// GrowLog is evidence.Store.
func (s *Store) GrowLog(ctx context.Context, g evidence.Growth) error {
	d := s.db.dialect()
	var tiles, places [][]any
	var taken []int64
	for i := range g.Tiles {
		tiles = append(tiles, []any{g.Tiles[i].Level, g.Tiles[i].N, g.Tiles[i].Data})
	}
	for i := range g.Places {
		p := &g.Places[i]
		places = append(places, []any{p.First, p.Batch, p.Leaves, int64(p.Low), int64(p.High), octets(p.Seal)})
		if p.Batch != 0 {
			taken = append(taken, p.Batch)
		}
	}
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		n, err := change(ctx, tx, `UPDATE log_state SET size = $1, seals = $2, begun = $3, sealed_at = $4 WHERE one = 1 AND size = $5 AND seals = $6`,
			g.Now.Size, g.Now.Seals, int64(g.Now.Begun), int64(g.Now.SealedAt), g.Was.Size, g.Was.Seals)
		if err == nil && n == 0 {
			return own(evidence.ErrMoved)
		}
		if err != nil {
			return err
		}
		if err := insertRows(ctx, tx, `log_tile (level, n, data)`, ` ON CONFLICT (level, n) DO UPDATE SET data = excluded.data`, tiles); err != nil {
			return err
		}
		if err := insertRows(ctx, tx, `log_place (first, batch, leaves, low, high, seal)`, "", places); err != nil {
			return err
		}
		if d.taken == "" || len(taken) == 0 {
			return nil
		}
		n, err = change(ctx, tx, d.taken, d.list(taken))
		if err == nil && n != len(taken) {
			return own(evidence.ErrMoved)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("grow the log: %w", err)
	}
	return nil
}

// insertRows adds rows, many with each statement.
func insertRows(ctx context.Context, tx *sql.Tx, into, more string, rows [][]any) error {
	const together = 64
	for part := range slices.Chunk(rows, together) {
		var text strings.Builder
		var values []any
		text.WriteString(`INSERT INTO ` + into + ` VALUES `)
		for i, row := range part {
			if i > 0 {
				text.WriteString(", ")
			}
			for j := range row {
				text.WriteString([]string{"(", ", "}[min(j, 1)] + "$" + strconv.Itoa(len(values)+j+1))
			}
			text.WriteString(")")
			values = append(values, row...)
		}
		if _, err := change(ctx, tx, text.String()+more, values...); err != nil {
			return err
		}
	}
	return nil
}

// PutCheckpoint is evidence.Store.
func (s *Store) PutCheckpoint(ctx context.Context, size int64, checkpoint []byte) error {
	err := s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := change(ctx, tx, `UPDATE log_state SET signed = $1, checkpoint = $2 WHERE one = 1 AND signed <= $1 AND size >= $1`, size, checkpoint)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep a checkpoint: %w", err)
	}
	return nil
}

// leave adds the leaf of what is not a purchase, in the transaction that changes it.
func (s *Store) leave(ctx context.Context, tx *sql.Tx, h evidence.Head, row func(b []byte) []byte) error {
	b, at := evidence.Begin(nil, h)
	_, err := change(ctx, tx, s.db.dialect().leave, evidence.End(row(b), at))
	return err
}

func state(b []byte) evidence.Line { return evidence.NewLine(b, evidence.ItemState) }

// The items of what are not purchases. No text that a person wrote, and no number, is in them.

func caseItem(b []byte, c *care.Case) []byte {
	return state(b).Word(c.Status.String()).Word(c.Outcome.String()).Word(string(c.Code)).Word(c.Incident).Numbers(int64(c.Purchase), int64(c.Level),
		int64(c.Clock.AnswerBy), int64(c.Clock.ResolveBy), int64(c.AnsweredAt), int64(c.ClosedAt), int64(c.Into), int64(c.Reopened)).End()
}

func (s *Store) leaveCase(ctx context.Context, tx *sql.Tx, c *care.Case) error {
	return s.leave(ctx, tx, evidence.Head{Kind: evidence.Case, ID: int64(c.ID), Version: c.Version, At: max(c.ChangedAt, c.OpenedAt), Begun: c.OpenedAt},
		func(b []byte) []byte { return caseItem(b, c) })
}

func requestItem(b []byte, r *care.Request) []byte {
	return state(b).Word(r.Stage.String()).Word(string(r.Kind)).Word(r.Rule).Numbers(int64(r.Purchase), int64(r.Case), r.Amount, int64(r.Maker),
		int64(r.Checker), int64(r.DecidedAt), int64(r.ClosedAt), int64(r.Result)).End()
}

func (s *Store) leaveRequest(ctx context.Context, tx *sql.Tx, r *care.Request) error {
	return s.leave(ctx, tx, evidence.Head{Kind: evidence.Request, ID: r.ID, Version: r.Version, At: max(r.At, r.DecidedAt, r.ClosedAt), Begun: r.At},
		func(b []byte) []byte { return requestItem(b, r) })
}

func callbackItem(b []byte, c *care.Callback) []byte {
	return state(b).Word(c.State.String()).Numbers(int64(c.WindowAt), int64(c.Purchase), int64(c.Case), int64(c.ClosedAt), int64(c.ToldAt),
		int64(c.Tries), c.Follows).End()
}

func (s *Store) leaveCallback(ctx context.Context, tx *sql.Tx, c *care.Callback, at purchase.Instant) error {
	return s.leave(ctx, tx, evidence.Head{Kind: evidence.Callback, ID: c.ID, Version: c.Version, At: max(at, c.At, c.ClosedAt), Begun: c.At},
		func(b []byte) []byte { return callbackItem(b, c) })
}

func incidentItem(b []byte, i *incident.Incident) []byte {
	return state(b).Word(i.Status.String()).Word(i.Severity.String()).Word(i.Series.By.String()).Word(i.Series.Name).Word(string(i.Rule)).Word(i.Party).
		Numbers(int64(i.Since), int64(i.PausedAt), int64(i.RecoveredAt), int64(i.ResolvedAt), int64(i.ClosedAt), i.Told).End()
}

func (s *Store) leaveIncident(ctx context.Context, tx *sql.Tx, i *incident.Incident) error {
	return s.leave(ctx, tx, evidence.Head{Kind: evidence.Incident, ID: int64(i.ID), Version: i.Version, At: max(i.ChangedAt, i.SeenAt), Begun: i.SeenAt},
		func(b []byte) []byte { return incidentItem(b, i) })
}

func pauseItem(b []byte, p *incident.Pause) []byte {
	return state(b).Word(p.Series.By.String()).Word(p.Series.Name).Numbers(int64(p.Share), flag(p.Held), int64(p.EndedAt), int64(p.Incident),
		int64(p.By.Staff), int64(p.EndedBy.Staff)).End()
}

func (s *Store) leavePause(ctx context.Context, tx *sql.Tx, p *incident.Pause) error {
	return s.leave(ctx, tx, evidence.Head{Kind: evidence.Pause, ID: p.ID, Version: p.Version, At: max(p.At, p.EndedAt, p.StepAt), Begun: p.At},
		func(b []byte) []byte { return pauseItem(b, p) })
}
