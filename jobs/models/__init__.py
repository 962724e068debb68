"""The networks of `melstream train`: log-mels in, one logit a class out.

cnn      PANNs CNN6, CNN10 and CNN14, of any width
ast      the Audio Spectrogram Transformer, through transformers
ecapa    a speaker network of the ECAPA-TDNN kind: embeddings, and cosines to each speaker
pooling  from frames to clips, also for labels that hold somewhere in the clip only
build    from a recipe to a network
"""
