# neuralart for the CPU: docker build -t neuralart . && docker run --rm -v "$PWD:/pictures" neuralart \
#   stylize in.jpg out.jpg
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
WORKDIR /pictures
ENTRYPOINT ["neuralart"]
