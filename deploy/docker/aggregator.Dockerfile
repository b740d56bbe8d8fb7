# The aggregator's image, with the page in the binary. Build it from the root of the repository:
#
#   docker buildx build -f deploy/docker/aggregator.Dockerfile --platform linux/amd64,linux/arm64 -t REGISTRY/cairn-aggregator:0.1.0 --push .
#
# Page and compiler run on the building machine's own architecture; the compiler crosses to the other one.
FROM --platform=$BUILDPLATFORM node:22-bookworm-slim AS web
WORKDIR /src/aggregator/web
COPY aggregator/web/package.json aggregator/web/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY aggregator/web ./
RUN npm run build

FROM --platform=$BUILDPLATFORM rust:1.95.0-slim-bookworm AS build
ARG TARGETARCH
WORKDIR /src
COPY deploy/docker/cross.sh deploy/docker/
RUN deploy/docker/cross.sh install "$TARGETARCH"
COPY Cargo.toml Cargo.lock ./
COPY proto proto
COPY runtime runtime
COPY agent agent
COPY aggregator aggregator
COPY tests tests
COPY --from=web /src/aggregator/web/dist aggregator/web/dist
RUN deploy/docker/cross.sh build "$TARGETARCH" cairn-aggregator release /out/cairn-aggregator

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/cairn-aggregator /usr/bin/cairn-aggregator
USER 65532:65532
EXPOSE 9443 10250 8082 9102
ENTRYPOINT ["/usr/bin/cairn-aggregator"]
