# neuralart for the CPU; docs/install.md has the commands.
FROM python:3.11-slim-bookworm AS wheel
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends npm
COPY . /neuralart
RUN pip install --quiet build && python -m build --wheel --outdir /wheels /neuralart

FROM python:3.11-slim-bookworm
RUN apt-get update -qq \
  && apt-get install -y -qq --no-install-recommends libgomp1 libquadmath0 \
  && rm -rf /var/lib/apt/lists/*
COPY --from=wheel /wheels /wheels
RUN pip install --quiet --no-cache-dir "$(echo /wheels/*.whl)[cpu,onnx,video]" && rm -r /wheels
# Whoever --user names may write to a volume here, and has a home.
RUN mkdir --mode=1777 /pictures
ENV HOME=/tmp
WORKDIR /pictures
USER 1000:1000
ENTRYPOINT ["neuralart"]
