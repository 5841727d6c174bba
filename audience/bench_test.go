package audience_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"utskick/audience"
)

// discard is a store that costs nothing.
type discard struct{}

func (discard) RegisterAttributes(context.Context, []string) error { return nil }

func (discard) SaveContacts(_ context.Context, rows []audience.Row) (audience.Saved, error) {
	return audience.Saved{Created: len(rows)}, nil
}

// file writes n contacts as the demo's file has them, with the phone numbers
// that phone returns.
func file(n int, phone func(i int) string) []byte {
	var b bytes.Buffer
	b.WriteString("external_id,email,phone,push_token,locale,timezone,first_name,last_name,city,tier,points,basis,basis_evidence,consent.marketing,consent.open_tracking\n")
	for i := range n {
		fmt.Fprintf(&b, "kund-%07d,Anna.Andersson%d@Example.com,%s,demo-token-%d,sv-SE,Europe/Stockholm,Anna,Andersson,Göteborg,guld,%d,soft_optin,köp i butik,yes,\n",
			i, i, phone(i), i, i%5000)
	}
	return b.Bytes()
}

func benchmarkImport(b *testing.B, phone func(i int) string) {
	const rows = 10_000
	data := file(rows, phone)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		report, err := audience.Import(context.Background(), bytes.NewReader(data), discard{},
			audience.ImportOptions{Region: "SE", Purposes: purposes})
		if err != nil || report.Created != rows {
			b.Fatal(report, err)
		}
	}
	b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkImport(b *testing.B) {
	benchmarkImport(b, func(int) string { return "" })
}

func BenchmarkImportWithPhones(b *testing.B) {
	benchmarkImport(b, func(i int) string { return fmt.Sprintf("070-174 06 %02d", 5+i%95) })
}

func BenchmarkNormalizeEmail(b *testing.B) {
	for name, address := range map[string]string{
		"ascii": " Anna.Andersson@Example.COM ", "idn": "kund@räksmörgås.test",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := audience.NormalizeEmail(address); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkNormalizePhone(b *testing.B) {
	for b.Loop() {
		if _, err := audience.NormalizePhone("070-174 06 05", "SE"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkKey(b *testing.B) {
	keyer := testKeyer(b)
	b.ReportAllocs()
	for b.Loop() {
		keyer.Key(audience.KindEmail, "anna.andersson@example.com")
	}
}

var purposes = []string{"marketing", "profiling", "open_tracking", "ad_tracking", "ad_list_sharing"}

func testKeyer(t testing.TB) *audience.Keyer {
	t.Helper()
	k, err := audience.NewKeyer(bytes.Repeat([]byte{7}, audience.MinPepper))
	if err != nil {
		t.Fatal(err)
	}
	return k
}
