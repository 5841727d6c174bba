package storage_test

import (
	"fmt"
	"testing"

	"utskick/audience"
	"utskick/internal/testserver"
	"utskick/storage"
	"utskick/storage/storagetest"
)

// BenchmarkSaveContacts imports new contacts, a thousand a transaction.
func BenchmarkSaveContacts(b *testing.B) {
	e := storagetest.Open(b, storagetest.Engine{Name: "sqlite", Config: func(t testing.TB) storage.Config {
		return storage.Config{DataDir: t.TempDir()}
	}})
	n := 0
	for b.Loop() {
		rows := make([]audience.Row, 1000)
		for i := range rows {
			n++
			rows[i] = audience.Row{Contact: audience.Contact{ExternalID: fmt.Sprintf("g%09d", n), Email: fmt.Sprintf("kund%d@example.com", n), Locale: "sv-SE",
				FirstName: fmt.Sprintf("Kund %d", n), Basis: audience.SoftOptIn, BasisEvidence: "made up", Attributes: map[string]string{"city": "Exempelstad", "points": "10", "tier": "silver"}},
				Set: audience.FieldEmail | audience.FieldLocale | audience.FieldFirstName | audience.FieldBasis, Consents: map[string]bool{"open_tracking": true}}
		}
		if _, err := e.SaveContacts(b.Context(), rows); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "contacts/s")
}

// BenchmarkEvents is what opens and clicks cost.
func BenchmarkEvents(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) {
		storagetest.BenchEvents(b, storagetest.Engine{Name: "sqlite", Config: func(t testing.TB) storage.Config { return storage.Config{DataDir: t.TempDir()} }})
	})
	b.Run("postgres", func(b *testing.B) {
		url, ok := testserver.Postgres(b)
		if !ok {
			return // no Postgres on this machine; see testserver
		}
		storagetest.BenchEvents(b, storagetest.Engine{Name: "postgres", Config: func(testing.TB) storage.Config { return storage.Config{URL: url} }})
	})
}
