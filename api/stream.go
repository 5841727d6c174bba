package api

import (
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// stall is how long a file may stand still on its way in or out. The time-outs
// of the listener are for requests of a normal size.
const stall = time.Minute

// upload is a request body that is read as it comes, however long it is. It is
// a part of the input of a huma operation.
type upload struct{ body io.Reader }

// Resolve implements huma.Resolver.
func (u *upload) Resolve(ctx huma.Context) []error {
	if kind, _, err := mime.ParseMediaType(ctx.Header("Content-Type")); err != nil || kind != "text/csv" {
		return []error{newProblem(http.StatusUnsupportedMediaType, "send the file as Content-Type: text/csv")}
	}
	r, w := humago.Unwrap(ctx)
	u.body = &unhurriedReader{r.Body, http.NewResponseController(w)}
	return nil
}

// unhurriedReader gives every read a minute, instead of all of them together.
// A connection that cannot be given a deadline has none.
type unhurriedReader struct {
	io.Reader
	rc *http.ResponseController
}

func (u *unhurriedReader) Read(p []byte) (int, error) {
	_ = u.rc.SetReadDeadline(time.Now().Add(stall))
	_ = u.rc.SetWriteDeadline(time.Now().Add(2 * stall))
	return u.Reader.Read(p)
}

// unhurriedWriter does the same for an answer.
type unhurriedWriter struct {
	io.Writer
	rc *http.ResponseController
}

func (u *unhurriedWriter) Write(p []byte) (int, error) {
	_ = u.rc.SetWriteDeadline(time.Now().Add(stall))
	return u.Writer.Write(p)
}

// csvBody documents a body that is a file.
func csvBody(description string) *huma.RequestBody {
	return &huma.RequestBody{Required: true, Description: description,
		Content: map[string]*huma.MediaType{"text/csv": {Schema: &huma.Schema{Type: huma.TypeString}}}}
}

// csvAnswer documents an answer that is a file.
func csvAnswer(description string) map[string]*huma.Response {
	return map[string]*huma.Response{"200": {Description: description,
		Content: map[string]*huma.MediaType{"text/csv": {Schema: &huma.Schema{Type: huma.TypeString}}}}}
}
