package standin

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestSinkCounts(t *testing.T) {
	defer goleak.VerifyNone(t)
	sink, err := StartSink("to=", http.StatusAccepted, "taken", "X-Message-Id: 7")
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	defer http.DefaultClient.CloseIdleConnections()
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for range 25 {
				response, err := http.Post(sink.Address(), "text/plain", strings.NewReader("to=a&to=b"))
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(response.Body)
				response.Body.Close()
				if err != nil || response.StatusCode != http.StatusAccepted || response.Header.Get("X-Message-Id") != "7" || string(body) != "taken" {
					t.Errorf("%s, %q, %v", response.Status, body, err)
				}
			}
		})
	}
	clients.Wait()
	if sink.Requests() != 100 || sink.Marks() != 200 {
		t.Errorf("%d requests with %d marks, want 100 with 200", sink.Requests(), sink.Marks())
	}
}
