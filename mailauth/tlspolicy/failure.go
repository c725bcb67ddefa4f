package tlspolicy

// ResultType is what a TLS report calls a failure (RFC 8460 section 4.3). ""
// is success.
type ResultType string

// The result types of RFC 8460 sections 4.3.1, 4.3.2.1, 4.3.2.2 and 4.3.3.
const (
	StartTLSNotSupported    ResultType = "starttls-not-supported"
	CertificateHostMismatch ResultType = "certificate-host-mismatch"
	CertificateExpired      ResultType = "certificate-expired"
	CertificateNotTrusted   ResultType = "certificate-not-trusted"
	ValidationFailure       ResultType = "validation-failure"

	TLSAInvalid   ResultType = "tlsa-invalid"
	DNSSECInvalid ResultType = "dnssec-invalid"
	DANERequired  ResultType = "dane-required"

	STSPolicyFetchError ResultType = "sts-policy-fetch-error"
	STSPolicyInvalid    ResultType = "sts-policy-invalid"
	STSWebPKIInvalid    ResultType = "sts-webpki-invalid"
)

// Failure is what went wrong with the TLS of a domain or a session. It is the
// error type of this package.
//
//nolint:errname // a fact for a report first, an error second
type Failure struct {
	Result ResultType

	// Code is a stable word for the reason, the failure-reason-code of a report:
	// "mx-not-in-policy", "tlsa-lookup", "no-record-matches".
	Code string

	// Reason is a short English sentence part: "the policy of example.com has no
	// pattern for mx9.example.com".
	Reason string

	Err error // what is below it, may be nil
}

// Error gives the reason with what is below it.
func (f *Failure) Error() string {
	if f.Err != nil {
		return f.Reason + ": " + f.Err.Error()
	}
	return f.Reason
}

// Unwrap gives what is below the failure.
func (f *Failure) Unwrap() error { return f.Err }
