# The agent's image. Build it from the root of the repository:
#
#   docker buildx build -f deploy/docker/agent.Dockerfile --platform linux/amd64,linux/arm64 -t REGISTRY/cairn-agent:0.1.0 --push .
#
# The compiler runs on the building machine's own architecture and crosses to the other one: nothing is emulated.
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
RUN deploy/docker/cross.sh build "$TARGETARCH" cairn-agent agent /out/cairn-agent
# All of /proc that the agent reads, but for net: for a pod whose network is not the node's (components/restricted).
RUN mkdir -p /out/proc && for file in loadavg meminfo stat vmstat uptime pressure diskstats; do \
        ln -s "/proc/$file" "/out/proc/$file"; \
    done

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/cairn-agent /usr/bin/cairn-agent
COPY --from=build /out/proc /usr/share/cairn/proc-without-net
USER 65532:65532
ENTRYPOINT ["/usr/bin/cairn-agent"]
