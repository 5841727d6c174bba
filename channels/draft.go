package channels

import (
	"errors"
	"fmt"

	"utskick/audience"
)

// Check reports what no provider of the channel can send: another channel's
// skeleton, no rows, or a number of rows that is not that of the keys.
func (d Draft) Check(channel audience.Channel) error {
	switch {
	case d.Skeleton == nil || d.Sheet == nil:
		return errors.New("the draft has no skeleton or no sheet")
	case d.Skeleton.Channel != channel:
		return fmt.Errorf("the draft is for %s, the provider sends %s", d.Skeleton.Channel, channel)
	case d.Sheet.Rows() == 0:
		return errors.New("the draft has no rows")
	case d.Sheet.Rows() != len(d.Keys):
		return fmt.Errorf("the draft has %d rows and %d keys", d.Sheet.Rows(), len(d.Keys))
	}
	return nil
}
