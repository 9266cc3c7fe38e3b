"""fuse: embeddings and structured columns become one feature vector.

One Estimator a fusion method: `fusionspark.fuse.feature_fuser.FeatureFuser` is weighted concatenation.
"""
