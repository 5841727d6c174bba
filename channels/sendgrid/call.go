package sendgrid

import (
	"context"
	"encoding/hex"
	"slices"

	"utskick/audience"
	"utskick/channels"
	"utskick/suppression"
	"utskick/templates"
)

// Reasons of results that need no request.
const (
	reasonDuplicate = "duplicate_address"
	reasonForeign   = "foreign_permit" // the permit is for another recipient than the row
	reasonStopped   = "stopped"        // the send was ended before it began
)

// call is one request, prepared but for the addresses.
type call struct {
	provider *Provider
	form     *form
	keys     []audience.Key
	rows     *[]byte        // what each row has after its address, back to back; nil once sent
	ends     []int          // where each row ends in rows
	refused  map[int]string // rows that are not sent, and why
}

// Prepare encodes the call. It fails on a draft that no call can be made of.
func (p *Provider) Prepare(_ context.Context, d channels.Draft) (channels.Call, error) {
	if err := check(d); err != nil {
		return nil, err
	}
	f, err := newForm(d, newMark(d.Skeleton))
	if err != nil {
		return nil, err
	}
	return p.encode(d, f), nil
}

// encode encodes the rows.
func (p *Provider) encode(d channels.Draft, f *form) *call {
	c := &call{provider: p, form: f, keys: d.Keys, rows: p.buffers.Get().(*[]byte), ends: make([]int, len(d.Keys)), refused: make(map[int]string)}
	buf := (*c.rows)[:0]
	for row, key := range d.Keys {
		start := len(buf)
		var fits bool
		if buf, fits = f.appendRow(buf, d.Sheet, row, key); !fits {
			c.refused[row] = channels.ReasonTooLarge
			buf = buf[:start]
		}
		c.ends[row] = len(buf)
		if row == 0 { // the others will be about as long
			buf = slices.Grow(buf, len(buf)*len(d.Keys)*9/8)
		}
	}
	*c.rows = buf
	for _, row := range duplicates(d.Keys) {
		c.refused[row] = reasonDuplicate
	}
	return c
}

// rowStart comes before an address, appendRow's part after it.
const rowStart = `{"to":[{"email":"`

// appendRow appends a personalization from the end of its address on, and
// reports whether its substitutions are within SendGrid's limit.
func (f *form) appendRow(dst []byte, sheet *templates.Sheet, row int, key audience.Key) ([]byte, bool) {
	dst = hex.AppendEncode(append(dst, f.identity...), key[:])
	dst = appendPieces(dst, f.headers, sheet, row)
	if len(f.substitutions) == 0 {
		return append(dst, '}'), true
	}
	start := len(dst) + len(`,"substitutions":`)
	dst = appendPieces(dst, f.substitutions, sheet, row)
	dst = append(dst, `"}}`...)
	return dst, len(dst)-len("}}")-start < maxSubstitutions
}

func appendPieces(dst []byte, pieces []piece, sheet *templates.Sheet, row int) []byte {
	for _, p := range pieces {
		dst = append(dst, p.text...)
		if p.hole >= 0 {
			dst = appendEscaped(dst, sheet.At(row, p.hole))
		}
	}
	return dst
}

// Send makes the request. A second Send of the same call sends nothing: the rows
// have been given back, and may by now be those of another call.
func (c *call) Send(ctx context.Context, permits []*suppression.Permit) []channels.Result {
	if ctx.Err() != nil || c.rows == nil {
		return channels.Fill(permits, channels.Result{Class: channels.Withheld, Reason: reasonStopped})
	}
	defer func() {
		c.release(c.rows)
		c.rows = nil
	}()
	results := make([]channels.Result, len(permits))
	buf := c.provider.buffers.Get().(*[]byte)
	body, rows, live := c.assemble((*buf)[:0], permits, results)
	*buf = body
	if len(rows) == 0 {
		c.release(buf)
		return results
	}
	answer := channels.Result{Class: channels.TooLarge, Reason: channels.ReasonTooLarge}
	if len(body) <= c.provider.limit {
		attempt := channels.NewAttempt(live...)
		answer = c.provider.post(ctx, attempt, body, len(rows))
		answer.Late = attempt.Late()
		if attempt.Written() == channels.Fully {
			// Only now has the connection no more use for it.
			c.release(buf)
		}
	}
	for _, row := range rows {
		results[row] = answer
	}
	return results
}

func (c *call) release(buf *[]byte) { c.provider.buffers.Put(buf) }

// assemble appends the whole body to dst, with the rows whose permits give
// their address, and returns which rows and permits these are. Results of the
// others are filled in.
func (c *call) assemble(dst []byte, permits []*suppression.Permit, results []channels.Result) ([]byte, []int, []*suppression.Permit) {
	rows := make([]int, 0, len(permits))
	live := make([]*suppression.Permit, 0, len(permits))
	const usualAddress = 32
	dst = slices.Grow(dst, len(c.form.root)+len(*c.rows)+(len(rowStart)+usualAddress)*len(permits))
	dst = append(dst, c.form.root...)
	for row, permit := range permits {
		address, withheld := c.open(row, permit)
		if address == "" {
			results[row] = withheld
			continue
		}
		if len(rows) > 0 {
			dst = append(dst, ',')
		}
		dst = appendEscaped(append(dst, rowStart...), []byte(address))
		dst = append(dst, (*c.rows)[c.start(row):c.ends[row]]...)
		rows, live = append(rows, row), append(live, permit)
	}
	return append(dst, "]}"...), rows, live
}

func (c *call) start(row int) int {
	if row == 0 {
		return 0
	}
	return c.ends[row-1]
}

// open returns the address of a row, or the result of a row that is not sent.
func (c *call) open(row int, permit *suppression.Permit) (string, channels.Result) {
	if permit == nil {
		return "", channels.Result{}
	}
	if permit.Key() != c.keys[row] {
		return "", channels.Result{Class: channels.Withheld, Reason: reasonForeign}
	}
	if reason := c.refused[row]; reason != "" {
		return "", channels.Result{Class: channels.Refused, Reason: reason}
	}
	address, err := permit.Open()
	if err != nil {
		return "", channels.Result{Class: channels.Withheld, Reason: channels.ReasonExpired}
	}
	return address, channels.Result{}
}
