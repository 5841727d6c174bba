# syntax=docker/dockerfile:1

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod \
    go mod download
COPY . .
# The version is taken from .git. timetzdata puts the time zones into the
# binary: contacts have their own.
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/cache \
    CGO_ENABLED=0 GOCACHE=/cache \
    go build -trimpath -tags timetzdata -ldflags '-s -w' -o /image/utskick ./cmd/utskick
# /data is writable for any user: the one who owns the secrets runs the
# container (see deploy/README.md), and nobody else is in there.
RUN mkdir -p /image/etc/ssl/certs \
    && cp -L /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
    && mkdir -m 1777 /image/data /image/data/outbox /image/tmp

FROM scratch
COPY --from=build /image/ /
# For the health check alone.
COPY --from=busybox:1.37-musl /bin/wget /bin/wget
ENV UTSKICK_DATA_DIR=/data \
    UTSKICK_LISTEN=0.0.0.0:8080 \
    UTSKICK_PUBLIC_LISTEN=0.0.0.0:8081
VOLUME /data
EXPOSE 8080 8081
USER 65532:65532
ENTRYPOINT ["/utskick"]
CMD ["serve"]
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
    CMD ["/bin/wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/healthz"]
