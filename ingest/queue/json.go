package queue

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/postroad/postroad/event"
)

// sniffJSON tells a listing by the names in its first object.
func sniffJSON(text string) string {
	start := strings.TrimLeft(text, " \t\r\n")
	if start == "" {
		return ""
	}
	if start[0] != '{' && start[0] != '[' {
		i := max(strings.Index(text, "\n{"), strings.Index(text, "\n["))
		if i < 0 || strings.Count(text[:i], "\n") > 5 {
			return ""
		}
		start = text[i+1:]
	}
	has := func(names ...string) bool {
		for _, name := range names {
			if !strings.Contains(start, `"`+name+`"`) {
				return false
			}
		}
		return true
	}
	switch {
	case has("queue_id", "queue_name"), has("queue_id", "recipients", "arrival_time"):
		return PostfixJSON
	case has("MessageCount", "DeliveryType"), has("MessageCount", "NextHopDomain"), has("NextHopDomain", "Identity"):
		return Exchange
	case has("FromAddress", "Queue"), has("FromAddress", "DateReceived"):
		return ExchangeMessage
	}
	return ""
}

// objects calls read with each object of a text: one a line, or indented, in a list
// or one after the other. What is no object costs itself only: a text that is cut
// in the middle goes on with the next.
func (c *listing) objects(read func(object []byte, line int64) error) error {
	for {
		b, err := c.buf.ReadByte()
		if err != nil {
			c.err = err
			return nil //nolint:nilerr // Read tells it in the end
		}
		switch b {
		case '\n':
			c.n++
		case ' ', '\t', '\r', ',', '[', ']':
		case '{':
			if err := c.buf.UnreadByte(); err != nil {
				return err
			}
			line := c.n + 1
			object, why := c.object()
			if why == "" {
				c.read++
				if err := read(object, line); err != nil {
					return err
				}
			} else {
				c.skip(line, why)
			}
		default:
			if c.read > 0 {
				c.skip(c.n+1, event.SkipBroken)
			}
			if _, err := c.line(); err != nil {
				c.err = err
				return nil //nolint:nilerr // Read tells it in the end
			}
			c.n++
		}
	}
}

// object gives the bytes of an object that begins here; they are good until the
// next call.
func (c *listing) object() (object []byte, why event.Skip) {
	object = c.room[:0]
	defer func() {
		if c.room = object; cap(object) > maxLine { // one giant is no reason to keep its room
			c.room = nil
		}
	}()
	var at nesting
	for {
		if _, err := c.buf.Peek(1); err != nil {
			c.err = err
			if errors.Is(err, io.EOF) {
				return object, event.SkipCut
			}
			return object, event.SkipUnreadable
		}
		piece, _ := c.buf.Peek(c.buf.Buffered()) // what is there already
		if i := bytes.IndexByte(piece, '\n'); i >= 0 {
			piece = piece[:i+1]
		}
		n, done := at.end(piece)
		if room := maxObject + 1 - len(object); room > 0 {
			object = append(object, piece[:min(n, room)]...)
		}
		newline := piece[n-1] == '\n'
		_, _ = c.buf.Discard(n) // it is there
		switch {
		case done && len(object) > maxObject:
			return object, event.SkipLong
		case done:
			return object, ""
		case newline:
			c.n++
			if at.quoted { // in JSON a line does not end in a text
				return object, event.SkipBroken
			}
			if next, _ := c.buf.Peek(8); string(next) == `{"queue_` {
				return object, event.SkipBroken
			}
		}
	}
}

// nesting is how deep inside of a JSON value a reader stands.
type nesting struct {
	depth           int
	quoted, escaped bool
}

// end gives how many bytes of a piece belong to the object, and whether it ends
// with them.
func (at *nesting) end(piece []byte) (n int, done bool) {
	for i, b := range piece {
		switch {
		case at.escaped:
			at.escaped = false
		case at.quoted:
			at.escaped, at.quoted = b == '\\', b != '"'
		case b == '"':
			at.quoted = true
		case b == '{':
			at.depth++
		case b == '}':
			if at.depth--; at.depth == 0 {
				return i + 1, true
			}
		}
	}
	return len(piece), false
}

// postfixObject reads a message of "postqueue -j", see postqueue(1).
func (c *listing) postfixObject(object []byte, line int64) error {
	var m struct {
		Queue      string `json:"queue_name"`
		ID         string `json:"queue_id"`
		Arrival    int64  `json:"arrival_time"`
		Size       int64  `json:"message_size"`
		Sender     string `json:"sender"`
		Recipients []struct {
			Address string `json:"address"`
			Reason  string `json:"delay_reason"`
		} `json:"recipients"`
	}
	if json.Unmarshal(object, &m) != nil || m.ID == "" {
		c.skip(line, event.SkipBroken)
		return nil //nolint:nilerr // it is told to Skip
	}
	item := Item{QueueID: m.ID, Sender: address(m.Sender), Arrived: epoch(m.Arrival), Size: max(m.Size, 0),
		Active: m.Queue == "active", Held: m.Queue == "hold", Count: 1, Line: line}
	if len(m.Recipients) == 0 {
		return c.visit(item)
	}
	for _, r := range m.Recipients {
		item.Recipient, item.Reason = address(r.Address), r.Reason
		item.RemoteHost, item.RemoteIP = remote(r.Reason)
		if err := c.visit(item); err != nil {
			return err
		}
	}
	return nil
}
